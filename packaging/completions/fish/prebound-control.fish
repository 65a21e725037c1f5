# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_prebound_control_global_optspecs
    string join \n c/config= s/server= q/quiet h/help V/version
end

function __fish_prebound_control_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_prebound_control_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_prebound_control_using_subcommand
    set -l cmd (__fish_prebound_control_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c prebound-control -n "__fish_prebound_control_needs_command" -s c -l config -d 'Read this configuration file to find the socket [default: that of prebound]' -r -F
complete -c prebound-control -n "__fish_prebound_control_needs_command" -s s -l server -d 'Connect to this socket' -r -F
complete -c prebound-control -n "__fish_prebound_control_needs_command" -s q -l quiet -d 'Print nothing when it works'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -s h -l help -d 'Print help'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -s V -l version -d 'Print version'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "status" -d 'say whether it runs, since when and how'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "stop" -d 'end the process'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "reload" -d 'read the configuration again and forget what was learned'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "reload_keep_cache" -d 'read the configuration again'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "fast_reload" -d 'the same as reload_keep_cache; flags are accepted'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "verbosity" -d 'log more or less, 0 to 5, until the next reload'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "log_reopen" -d 'accepted: logs go to standard error or the journal'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "stats" -d 'print statistics and count from zero again'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "stats_noreset" -d 'print statistics'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush_stats" -d 'count from zero again'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "get_option" -d 'print the value of an option of the configuration'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "set_option" -d 'set an option until the next reload'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush" -d 'forget everything about a name'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush_type" -d 'forget one type of a name'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush_zone" -d 'forget everything at and below a name'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush_bogus" -d 'forget what failed validation'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush_negative" -d 'forget denials and failures'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush_infra" -d 'forget what is known of servers'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "flush_requestlist" -d 'give up what is in flight; clients get no answer'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "dump_requestlist" -d 'print what is in flight in every worker'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "dump_infra" -d 'print what is known of servers'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "dump_cache" -d 'print the cache'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "load_cache" -d 'take a cache from standard input, as dump_cache prints it'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "cache_lookup" -d 'print what is cached at and below names; +t allows top level domains'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "lookup" -d 'print which servers would be asked about a name'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "list_forwards" -d 'print the forward zones'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "list_stubs" -d 'print the stub zones and the root hints'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "list_insecure" -d 'print the names that are not validated'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "list_local_zones" -d 'print the local zones'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "list_local_data" -d 'print the local data'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "list_auth_zones" -d 'print the zones of which there are copies'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "insecure_add" -d 'do not validate at and below a name'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "insecure_remove" -d 'validate there again'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "forward_add" -d 'forward a zone; +i: do not validate it, +t: over TLS'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "forward_remove" -d 'end that'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "forward" -d 'forward everything, nothing, or print which'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "stub_add" -d 'ask these servers about a zone; +i: do not validate it, +p: prime, +t: over TLS'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "stub_remove" -d 'end that'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_zone" -d 'add a local zone, or change its type'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_zone_remove" -d 'remove a local zone with its data'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_data" -d 'add a record of local data'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_data_remove" -d 'remove the local data of a name'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_zones" -d 'add local zones from standard input, NAME TYPE a line'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_zones_remove" -d 'remove local zones from standard input, NAME a line'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_datas" -d 'add records from standard input, one a line'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "local_datas_remove" -d 'remove local data from standard input, NAME a line'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_list_local_zones" -d 'list_local_zones of a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_list_local_data" -d 'list_local_data of a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_local_zone" -d 'local_zone in a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_local_zone_remove" -d 'local_zone_remove in a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_local_data" -d 'local_data in a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_local_data_remove" -d 'local_data_remove in a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_local_datas" -d 'local_datas in a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "view_local_datas_remove" -d 'local_datas_remove in a view'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "auth_zone_reload" -d 'read the file of a zone again'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "auth_zone_transfer" -d 'ask the primaries of a zone for a newer copy'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "rpz_enable" -d 'apply a response policy zone again'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "rpz_disable" -d 'do not apply a response policy zone'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "ratelimit_list" -d 'print the zones that are asked too often; +a: all that are counted'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "ip_ratelimit_list" -d 'print the clients that ask too often; +a: all that are counted'
complete -c prebound-control -n "__fish_prebound_control_needs_command" -a "start" -d 'say how to start the server'
