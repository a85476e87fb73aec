package intent

// Regions is the prefix of all regions.
func (t Tree) Regions() Prefix { return t.intent.Join("regions") }

// Region is the key of one region.
func (t Tree) Region(code Name) string { return t.Regions().Key(code) }

// Machines is the prefix of all machines.
func (t Tree) Machines() Prefix { return t.intent.Join("machines") }

// MachinesIn is the prefix of the machines of a region.
func (t Tree) MachinesIn(region Name) Prefix { return t.Machines().Join(region) }

// Machine is the key of one machine.
func (t Tree) Machine(region, machine Name) string { return t.MachinesIn(region).Key(machine) }

// VMs is the prefix of all declared vms.
func (t Tree) VMs() Prefix { return t.intent.Join("vms") }

// VM is the key of one vm.
func (t Tree) VM(name Name) string { return t.VMs().Key(name) }

// Ledgers is the prefix of all ledgers.
func (t Tree) Ledgers() Prefix { return t.managed.Join("ledger") }

// LedgersIn is the prefix of the ledgers of a region.
func (t Tree) LedgersIn(region Name) Prefix { return t.Ledgers().Join(region) }

// Ledger is the key of the entries held on a machine.
func (t Tree) Ledger(region, machine Name) string { return t.LedgersIn(region).Key(machine) }

// PlacedVMs is the prefix of the placement records of vm instances.
func (t Tree) PlacedVMs() Prefix { return t.managed.Join("placement", "vms") }

// PlacedVM is the key of the placement record of one instance.
func (t Tree) PlacedVM(i Instance) string { return t.PlacedVMs().Key(Name(i.String())) }

// PlacedNodes is the prefix of the app assignments made for placed vms; see [Tree.Placements] for one node.
func (t Tree) PlacedNodes() Prefix { return t.managed.Join("placement", "nodes") }
