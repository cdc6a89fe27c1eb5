#!/usr/bin/env bash
# Makes the captures of this folder with their key logs: nginx and openssl s_client on the loopback of a network
# namespace of their own. Needs root, openssl, nginx, curl with HTTP/2, tcpdump and editcap.
#   make.sh FOLDER
set -euo pipefail
out=$(realpath "$1")
space=bl-tls-make
work=$(mktemp -d)
trap 'kill $(cat "$work"/*.pid) 2>/dev/null || true; ip netns del $space 2>/dev/null || true; rm -rf "$work"' EXIT
ip netns add $space
ip -n $space link set lo up
inside() { ip netns exec $space "$@"; }

for kind in rsa ec; do
  [ $kind = rsa ] && new=(-newkey rsa:2048) || new=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1)
  openssl req -x509 "${new[@]}" -nodes -days 3650 -subj "/CN=$kind.example" -keyout "$work/$kind.key" -out "$work/$kind.pem" 2>/dev/null
done
cat > "$work/nginx.conf" <<EOF
daemon off; master_process off; pid $work/nginx.pid; error_log $work/error.log;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
  ssl_certificate $work/rsa.pem; ssl_certificate_key $work/rsa.key;
  ssl_certificate $work/ec.pem; ssl_certificate_key $work/ec.key;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ciphers ALL:COMPLEMENTOFALL:@SECLEVEL=0;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256;
  ssl_prefer_server_ciphers off;
  ssl_early_data on; ssl_ecdh_curve X25519:prime256v1;
  server { listen 127.0.0.1:443 ssl http2; default_type text/plain; location / { return 200 "hello from \$request_uri\n"; } }
  server { listen 127.0.0.1:444 ssl; ssl_ecdh_curve prime256v1; location / { return 200 "hello from \$request_uri\n"; } }
}
EOF
inside nginx -c "$work/nginx.conf" -e "$work/error.log" & sleep 1

record() { (exec ip netns exec $space tcpdump -i lo -s 0 -U -B 4096 -w "$out/$1.pcap" tcp 2>/dev/null) & echo $! > "$work/tcpdump.pid"; sleep 1.5; : > "$out/$1.keys"; keys="$out/$1.keys"; }
stop() { sleep 1.5; kill -TERM "$(cat "$work/tcpdump.pid")"; wait "$(cat "$work/tcpdump.pid")" || true; }
ask() { printf 'GET /%s HTTP/1.1\r\nHost: example\r\n\r\n' "$1"; }
last() { printf 'GET /%s HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n' "$1"; }
client() { inside openssl s_client -connect 127.0.0.1:"${port:-443}" -servername example -keylogfile "$keys" "$@" >/dev/null 2>&1 || true; }
two() { (ask "$1-1"; sleep 0.2; last "$1-2"; sleep 0.4); }

record tls13
for suite in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_CCM_SHA256 TLS_AES_128_CCM_8_SHA256; do
  two $suite | client -tls1_3 -ciphersuites $suite -ign_eof
done
stop

record tls13-more
(ask before; sleep 0.1; printf 'K\n'; sleep 0.1; ask between; sleep 0.1; printf 'k\n'; sleep 0.1; last after; sleep 0.2) | client -tls1_3
two retry | port=444 client -tls1_3 -groups X25519:P-256 -ign_eof
two resumed | client -tls1_3 -sess_out "$work/session" -ign_eof
ask early > "$work/early"
two late | client -tls1_3 -sess_in "$work/session" -early_data "$work/early" -ign_eof
inside env SSLKEYLOGFILE="$keys" curl -sk --http2 https://127.0.0.1/h2-1 https://127.0.0.1/h2-2 -o /dev/null
stop

record tls12
for suite in ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-AES128-CCM \
             ECDHE-ECDSA-AES256-CCM8 ECDHE-RSA-AES128-SHA ECDHE-ECDSA-AES256-SHA384 AES128-SHA256 CAMELLIA256-SHA AES256-SHA; do
  two $suite | client -tls1_2 -cipher "$suite:@SECLEVEL=0" -ign_eof
done
two first | client -tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384 -sess_out "$work/session" -ign_eof
two again | client -tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384 -sess_in "$work/session" -ign_eof
stop

# A server of its own where nginx does not do what is wanted: MAC before encryption, renegotiation.
mkdir "$work/www"; echo 'hello from a file' > "$work/www/file"
serve() { (cd "$work/www" && exec ip netns exec $space openssl s_server -accept 445 -cert "$work/rsa.pem" -key "$work/rsa.key" -WWW "$@" >/dev/null 2>&1) & echo $! > "$work/server.pid"; sleep 0.4; }
record tls12-more
for suite in AES128-SHA AES256-SHA256 ECDHE-RSA-AES256-SHA384; do
  serve -tls1_2 -no_etm -cipher "$suite:@SECLEVEL=0"
  (last file; sleep 0.2) | port=445 client -tls1_2 -cipher "$suite:@SECLEVEL=0" -ign_eof
  kill "$(cat "$work/server.pid")"; sleep 0.2
done
serve -tls1_2 -client_renegotiation
(printf 'R\n'; sleep 0.3; last file; sleep 0.2) | port=445 client -tls1_2 -legacy_renegotiation -cipher ECDHE-RSA-AES128-GCM-SHA256
stop

editcap -F pcapng --inject-secrets tls,"$out/tls13.keys" "$out/tls13.pcap" "$out/tls13-dsb.pcapng"
for f in tls13 tls13-more tls12 tls12-more; do
  sed -i -E '/^(CLIENT_RANDOM|(CLIENT|SERVER)_(HANDSHAKE_TRAFFIC_SECRET|TRAFFIC_SECRET_0)|CLIENT_EARLY_TRAFFIC_SECRET) /!d' "$out/$f.keys"
done
ls -l "$out"
