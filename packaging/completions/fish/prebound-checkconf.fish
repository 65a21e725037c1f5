complete -c prebound-checkconf -s o -d 'Print the value of an option, each value of a list on a line of its own' -r
complete -c prebound-checkconf -l output -d 'With --units: write the drop-ins below this directory instead, for instance /etc/systemd/system' -r -F
complete -c prebound-checkconf -s f -d 'With -o: print the full path of a file'
complete -c prebound-checkconf -s q -d 'Print nothing when all is well'
complete -c prebound-checkconf -l units -d 'Print the drop-ins for systemd units that make the sockets as the file says'
complete -c prebound-checkconf -s V -l version -d 'Print the version'
complete -c prebound-checkconf -s h -l help -d 'Print help (see more with \'--help\')'
