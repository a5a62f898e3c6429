"""The variables that a job finds."""

from harness.model.torchrun import environment
from tests.support.plans import network

PLAN = network("ring", 3)


def test_variables_are_those_of_torchrun():
    told = environment(PLAN, 2, {"PATH": "/bin", "RANK": "7"}, 29511)
    assert told == {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        "RANK": "2",
        "WORLD_SIZE": "3",
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "GROUP_RANK": "2",
        "GROUP_WORLD_SIZE": "3",
        "NODE_RANK": "2",
        "HARNESS_NEIGHBOURS": "0,1",
        "ROLE_NAME": "default",
        "ROLE_RANK": "2",
        "ROLE_WORLD_SIZE": "3",
        "MASTER_ADDR": "10.77.0.1",
        "MASTER_PORT": "29511",
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        "PET_NNODES": "3",
        "PET_NODE_RANK": "2",
        "PET_MASTER_ADDR": "10.77.0.1",
        "PET_MASTER_PORT": "29511",
        "PET_RDZV_ENDPOINT": "10.77.0.1:29511",
        "PET_LOCAL_ADDR": "10.77.0.3",
        "GLOO_SOCKET_IFNAME": "eth0",
        "NCCL_SOCKET_IFNAME": "eth0",
        "NCCL_NET": "Socket",
        "NCCL_P2P_DISABLE": "1",
        "NCCL_SHM_DISABLE": "1",
        "NCCL_IB_DISABLE": "1",
        "NCCL_MNNVL_ENABLE": "0",
        "NCCL_NVLS_ENABLE": "0",
        "TP_SOCKET_IFNAME": "eth0",
    }


def test_what_the_user_tuned_stays():
    told = environment(PLAN, 0, {"OMP_NUM_THREADS": "8", "PYTHONUNBUFFERED": ""}, 1)
    assert (told["OMP_NUM_THREADS"], told["PYTHONUNBUFFERED"]) == ("8", "")


def test_a_job_of_its_own_in_every_node_finds_no_rendezvous_of_the_others():
    told = environment(PLAN, 1, {}, argv=["torchrun", "--standalone", "x.py"])
    assert not [name for name in told if name.startswith("PET_")]
    assert (told["RANK"], told["MASTER_ADDR"]) == ("1", "10.77.0.1")
