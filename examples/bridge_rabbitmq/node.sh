# A RabbitMQ node of one's own, for tests and comparisons: sourced by bash. It listens on 127.0.0.1 only, on ports that were
# free, and all that it writes is in $NODE. It is started, killed and stopped by process ids; no other node is touched.
#
#   node_prepare DIR    chooses ports and a folder; installs the server if there is none; $NODE_MORE goes into its configuration
#   node_start          starts the node, or starts it again with what it has kept, and waits until it takes connections
#   node_kill           ends it at once, as a power cut would, but for what the system has not written yet
#   node_stop           ends all that was started; for a trap
#
# After node_start: $NODE_URL, an amqp:// address, and $NODE_PID, the process of the node.

node_prepare() {
    NODE=$1 NODE_PID= NODE_EPMD=
    if ! command -v rabbitmq-server > /dev/null; then
        # Without this the package would start a node of its own.
        local policy=/usr/sbin/policy-rc.d is_ours=
        if [ ! -e $policy ]; then
            is_ours=yes
            printf '#!/bin/sh\nexit 101\n' > $policy
            chmod +x $policy
        fi
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq rabbitmq-server > /dev/null
        [ -z "$is_ours" ] || rm $policy
    fi
    mkdir -p "$NODE/mnesia" "$NODE/log" "$NODE/home"
    : > "$NODE/plugins"
    read -r NODE_PORT NODE_DISTRIBUTION NODE_EPMD_PORT < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
ports = [each.getsockname()[1] for each in held]
for each in held: each.close()
print(*ports)')
    NODE_URL=amqp://guest:guest@127.0.0.1:$NODE_PORT/%2f
    cat > "$NODE/rabbitmq.conf" << END
listeners.tcp.default = 127.0.0.1:$NODE_PORT
log.console = false
${NODE_MORE:-}
log.file.level = warning
END
    # Who maps names of nodes to ports. It has to be there first: else the node would start one of its own, which outlives it.
    epmd -address 127.0.0.1 -port "$NODE_EPMD_PORT" &> "$NODE/log/epmd" &
    NODE_EPMD=$!
    node_wait_for "$NODE_EPMD" "$NODE_EPMD_PORT" || { cat "$NODE/log/epmd" >&2; return 1; }
}

node_environment() {
    env -i PATH="$PATH" HOME="$NODE/home" LANG=C.UTF-8 \
        RABBITMQ_NODENAME=peermq@localhost RABBITMQ_NODE_PORT="$NODE_PORT" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
        RABBITMQ_DIST_PORT="$NODE_DISTRIBUTION" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$NODE_EPMD_PORT" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}' \
        RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$NODE/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$NODE/plugins" \
        RABBITMQ_MNESIA_BASE="$NODE/mnesia" RABBITMQ_LOG_BASE="$NODE/log" RABBITMQ_PID_FILE="$NODE/pid" \
        "$@"
}

node_start() {
    rm -f "$NODE/pid"
    # The script itself, not Debian's, which would run it as another user in another folder.
    node_environment /usr/lib/rabbitmq/bin/rabbitmq-server < /dev/null &> "$NODE/log/console" &
    if ! node_wait_for $! "$NODE_PORT"; then
        echo "no RabbitMQ node came up:" >&2
        tail -20 "$NODE/log/console" >&2
        return 1
    fi
    NODE_PID=$(cat "$NODE/pid")
}

# Until somebody listens on this port, as long as this process lives; a minute at most.
node_wait_for() {
    local tries=0
    until python3 -c "import socket; socket.create_connection(('127.0.0.1', $2), 1)" 2> /dev/null; do
        kill -0 "$1" 2> /dev/null && [ $((tries += 1)) -le 300 ] || return 1
        sleep 0.2
    done
}

node_kill() {
    [ -n "$NODE_PID" ] || return 0
    kill -KILL "$NODE_PID" 2> /dev/null || true
    while kill -0 "$NODE_PID" 2> /dev/null; do sleep 0.05; done
    NODE_PID=
}

node_stop() {
    # It may be on its way up.
    [ -n "$NODE_PID" ] || NODE_PID=$(cat "$NODE/pid" 2> /dev/null || true)
    node_kill
    [ -z "$NODE_EPMD" ] || kill "$NODE_EPMD" 2> /dev/null || true
    NODE_EPMD=
}
