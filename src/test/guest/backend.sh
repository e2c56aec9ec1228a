# SPDX-License-Identifier: AGPL-3.0-only
# shellcheck shell=bash disable=SC2154
#
# Starts and stops the back end under test, or the peer that stands in for it while the guest's
# side is worked on. Sourced by run.sh; the variant's settings are in variant_*.

backend_pid=

# Writes the configuration of the variant. A key pair is given as it is, or sealed by a KEK whose
# known answer is fixed: 0x11..11 as key, keys 00..1f and 80..9f (the pair of the test vectors).
backend_configure()
{
    xts_key1=
    xts_key2=
    cat >"$work/backend.yaml" <<END
path: $disk_file
socket: $socket
num_queues: $variant_queues
queue_size: 128
seg_count_max: 16
device_id: $variant_serial
io_engine: $variant_engine
END
    local line
    for line in "${variant_extra[@]}"; do
        printf '%s\n' "$line" >>"$work/backend.yaml"
    done
    [ "$variant_layout" != root ] || lazy_disk_configure
    case $variant_keys in
    none) ;;
    fresh) backend_fresh_keys ;;
    sealed) backend_sealed_keys ;;
    esac
}

backend_fresh_keys()
{
    xts_key1=$(openssl rand -hex 32)
    xts_key2=$(openssl rand -hex 32)
    local key
    {
        echo "encryption_key:"
        for key in "$xts_key1" "$xts_key2"; do
            echo "  - \"$(printf '%s' "$key" | busybox xxd -r -p | base64 -w 0)\""
        done
    } >>"$work/backend.yaml"
}

backend_sealed_keys()
{
    xts_key1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    xts_key2=808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f
    cat >>"$work/backend.yaml" <<'END'
encryption_key:
  - "F/YFSsTKmVjtNtQ3RKvn2g+C3/F+lLpcSlYQ8xX8exwq8kjM58JtfRiEFHA8K0hp"
  - "l3aFykRKGdhttlS3xCtnWo8CX3H+FDrcytaQc5V8+5xMxsJCGYdgTuVU//ouRfMu"
END
    cat >"$work/kek.yaml" <<'END'
method: aes256-gcm
key: "ERERERERERERERERERERERERERERERERERERERERERE="
init_vector: "IiIiIiIiIiIiIiIi"
auth_data: "dGVzdC1hYWQ="
END
}

# Starts the back end and waits for its socket. Its log goes to $1.
backend_start()
{
    local log=$1 command
    rm -f "$socket"
    case $backend in
    ubiblk)
        command=("$repository/bin/vhost-backend" --config "$work/backend.yaml")
        [ "$variant_keys" != sealed ] || command+=(--kek "$work/kek.yaml")
        ;;
    qsd)
        command=(qemu-storage-daemon
            --blockdev "driver=file,node-name=f,filename=$disk_file,cache.direct=off,aio=threads"
            --export "type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path=$socket,writable=on,num-queues=$variant_queues")
        ;;
    esac
    "${command[@]}" >"$log" 2>&1 </dev/null &
    backend_pid=$!
    if ! poll_until 60 backend_listens_or_ended || [ ! -S "$socket" ]; then
        backend_kill
        return 1
    fi
}

backend_listens_or_ended()
{
    [ -S "$socket" ] || ! kill -0 "$backend_pid" 2>/dev/null
}

backend_ended()
{
    ! kill -0 "$backend_pid" 2>/dev/null
}

# Asks the back end to end; succeeds when it does, with status 0.
backend_stop()
{
    local status=0
    kill -TERM "$backend_pid" 2>/dev/null || true
    if ! poll_until 60 backend_ended; then
        echo "the back end is still there 60 s after SIGTERM" >&2
        backend_kill
        return 1
    fi
    wait "$backend_pid" || status=$?
    backend_pid=
    [ "$status" = 0 ] || echo "the back end ended with status $status" >&2
    [ "$status" = 0 ]
}

backend_kill()
{
    [ -n "$backend_pid" ] || return 0
    kill -KILL "$backend_pid" 2>/dev/null || true
    wait "$backend_pid" 2>/dev/null || true
    backend_pid=
}
