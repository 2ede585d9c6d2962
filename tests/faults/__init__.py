"""What is broken on purpose: processes killed, disks filled, files damaged, clocks set back, old indexes."""
