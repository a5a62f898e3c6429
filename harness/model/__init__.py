"""What a network is: units, links, topologies, plans. Pure: nothing here touches the machine."""
