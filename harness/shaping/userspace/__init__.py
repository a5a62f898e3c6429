"""Links made in user space, at the receiver: nf_tables sends packets to a queue, and the shaper daemon delays them."""
