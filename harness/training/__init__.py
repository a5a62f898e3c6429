"""What ranks run. Only this package imports torch, and only when it runs.

options, declared      every option of the trainer, declared once: command line, JSON and YAML derive from it
train, train_loop      the training program, and its loop: step, evaluate, save
strategies/            base is what a strategy is; one file per strategy; catalogue finds them by name
tasks/                 base is what a task is; images (digits, mnist) and text; sharding divides examples among ranks
group, command         the process group from torchrun's variables; how the programs parse and end
recorder, run_description                       rank-R.jsonl; run.json and end.json
collectives/           records collectives with their times: in the trainer, and in any job that asks for it
checkpoints            saved states, and which of them every rank can load
bench, bench_collectives, bench_ranks           `harness bench`: times gloo's collectives
exogym/                ExoGym's Trainer, one rank per node
"""
