"""The one deployable file, model.sever: how it is written and read, and what its manifest says; docs/bundle.md."""
