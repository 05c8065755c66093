"""Images by the shard, on however many machines: listed, handed out, committed whole, joined."""
