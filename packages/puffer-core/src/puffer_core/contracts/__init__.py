"""The six contracts: what each kind of component is, who calls it when, and what it owns."""
