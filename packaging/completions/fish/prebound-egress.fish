complete -c prebound-egress -s c -l config -d 'Read this configuration file, in the format of unbound.conf' -r -F
complete -c prebound-egress -l rate -d 'Sockets per second for all workers together; 0 is no limit' -r
complete -c prebound-egress -s v -l verbose -d 'Log more. Repeat for more still; adds to `verbosity:`'
complete -c prebound-egress -s h -l help -d 'Print help (see more with \'--help\')'
complete -c prebound-egress -s V -l version -d 'Print version'
