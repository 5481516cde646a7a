package options

// named sets the program's name, listed its variables.
func named(name string) func(*Start)                { return func(s *Start) { s.Name = name } }
func listed(variables func() []string) func(*Start) { return func(s *Start) { s.Environ = variables } }

// parseCommand parses the command line of a command.
func parseCommand(name string, args []string, getenv func(string) string, more ...func(*Start)) (*Command, error) {
	s := Start{Name: name, Args: args, Getenv: getenv}
	for _, set := range more {
		set(&s)
	}
	return s.Command()
}

// parseMaster parses the command line of a server, as the program does.
func parseMaster(args []string, getenv func(string) string, more ...func(*Start)) (Options, error) {
	s := Start{Name: "master", Args: args, Getenv: getenv}
	for _, set := range more {
		set(&s)
	}
	if c, err := s.Command(); c != nil || err != nil {
		return Options{}, err
	}
	return s.Options()
}
