//! unbound.conf: syntax, the table of options, and the checked configuration.
