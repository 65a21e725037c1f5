complete -c prebound-launch -l listen -d 'Serve DNS over UDP and TCP here. May be given many times' -r
complete -c prebound-launch -l control -d 'Make a control socket (for prebound-control and unbound-control) with this path' -r -F
complete -c prebound-launch -l metrics -d 'Serve metrics over HTTP here' -r
complete -c prebound-launch -l tls -d 'Serve DNS over TLS here' -r
complete -c prebound-launch -l https -d 'Serve DNS over HTTPS here' -r
complete -c prebound-launch -l workers -d 'UDP sockets for each address, one per worker thread [default: num-threads of the configuration]' -r
complete -c prebound-launch -l lab -d 'Serve a built-in miniature Internet instead of the real one: with secure, insecure, bogus and missing names, and without any network'
complete -c prebound-launch -s h -l help -d 'Print help'
complete -c prebound-launch -s V -l version -d 'Print version'
