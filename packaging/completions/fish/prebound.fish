complete -c prebound -s c -l config -d 'Read this configuration file, in the syntax of unbound.conf; without it /etc/prebound/prebound.conf, /etc/unbound/unbound.conf, or built-in defaults' -r -F
complete -c prebound -s v -l verbose -d 'Log more; repeat for more still. Adds to `verbosity:`'
complete -c prebound -l no-sandbox -d 'Do not give up any rights: for strace and gdb only. Without it the daemon allows itself no system call and no file it does not need'
complete -c prebound -s V -l version -d 'Print the version'
complete -c prebound -s d -d 'Accepted as unbound takes it: we never go into the background'
complete -c prebound -s p -d 'Accepted as unbound takes it: we never write a pid file'
complete -c prebound -s h -l help -d 'Print help (see more with \'--help\')'
