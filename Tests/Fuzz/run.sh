#!/usr/bin/env bash
# Fuzzes PostgresWire, TLS and the file parsers of Configuration: Tests/Fuzz/run.sh [seconds for all targets together, 60 by default]
# Ends with 1 when a target crashes, and shows the input in base64. Leaves no file behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

wire_targets=(frames readers errors startup options deallocate text)
file_targets=(hba ident ldap userlist connect ini)
tls_targets=(handshake records names pem protocols)
targets=("${wire_targets[@]}" "${file_targets[@]}" "${tls_targets[@]}")
seconds=${1:-60}
share=$((seconds / ${#targets[@]}))
((share > 0)) || share=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# below ROOM: a room that the fuzzed ones import
below() {
    swiftc -O -swift-version 6 -parse-as-library -enable-experimental-feature Lifetimes -sanitize=address \
        -emit-module -emit-module-path "$work/$1.swiftmodule" -emit-object -module-name "$1" -wmo -o "$work/$1.o" Sources/"$1"/*.swift
}

# fuzzer NAME ROOM FILE [argument...]: the program of a room
fuzzer() {
    swiftc -O -use-ld=lld -swift-version 6 -sanitize=fuzzer,address -parse-as-library -enable-experimental-feature Lifetimes -I "$work" \
        -module-name "$2" -o "$work/$1" Sources/"$2"/*.swift Tests/Fuzz/Harness.swift "Tests/Fuzz/$3" "${@:4}"
}

below Bytes
below Locking
fuzzer fuzz-wire PostgresWire FuzzWire.swift "$work/Bytes.o"
fuzzer fuzz-files Configuration FuzzConfiguration.swift "$work/Bytes.o"
fuzzer fuzz-tls TLS FuzzTLS.swift -I Sources/COpenSSL "$work/Locking.o"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/certificate.pem" -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:*.example 2>"$work/log"
export FUZZ_CERTIFICATE=$work/certificate.pem FUZZ_KEY=$work/key.pem

# seed TARGET FORMAT: one more input for that target, as printf writes it
count=0
seed() {
    mkdir -p "$work/$1"
    count=$((count + 1))
    # shellcheck disable=SC2059
    printf -- "$2" >"$work/$1/$count"
}
seed frames '\200S\0\0\0\4Q\0\0\0\15SELECT 1\0X\0\0\0\4'
seed frames '\100D\0\0\0\13\0\1\0\0\0\1xC\0\0\0\15SELECT 1\0Z\0\0\0\5I'
# shellcheck disable=SC2016
seed readers '\1s0\0SELECT $1\0\0\1\0\0\0\27'
seed readers '\20portal\0statement\0\0\0\0\1\0\0\0\1x\0\0'
seed readers '\1Ss0\0'
seed readers '\1C_1\0\0\0\3\350'
seed readers '\1DateStyle\0ISO, MDY\0'
seed readers '\1\0\0\0\12SCRAM-SHA-256\0\0'
seed readers '\1\0\3\0\0\0\0\0\1_pq_.a\0'
seed readers '\1\201\2\3\4\1\0\377\4'
seed errors 'SERROR\0VERROR\0C26000\0Mprepared statement \303\244\0P12\0\0'
seed errors 'Mno state\0\0'
seed startup '\200\0\0\0\10\4\322\26\57'
seed startup '\200\0\0\0\20\4\322\26\56\1\2\3\4\5\6\7\10'
seed startup '\200\0\0\0\50\0\3\0\2user\0u\0_pq_.a\0b\0options\0-c a=b\0\0'
seed startup '\200\0\0\0\12\0\2\0\0\1\2'
seed options '-c a=b -cc-d=e\\ f --g=\\\\ --h='
seed options '-c='
seed deallocate 'DEALLOCATE PREPARE "a""b" ;'
seed deallocate '/* a /* b */ */ deallocate all -- c'
seed deallocate 'DISCARD ALL'
seed text 'gr\303\274n \360\237\230\200'
seed text 'a\377\376b \364\217\276\200 \364\217\277\277 \303'
seed deallocate 'select \44a\44;\44a\44, e\47\\\47;\47 ; deallocate U&"!0061" uescape \47!\47; commit'

seed hba 'local all all peer map=m\nhost all,x "u" 1.2.3.4/8 md5 # c\nhostssl @f +g ::1/128 cert\n'
seed hba 'host all all 10.0.0.0 255.0.0.0 ldap ldapserver=h ldapprefix="a b"\n'
seed ident 'm os db\nm "a b" all # c\n'
# shellcheck disable=SC2016
seed ldap 'ldapserver="a b" ldapport=1 ldapbasedn="dc=x" ldapsearchfilter=(uid=$username)'
seed ldap 'ldapurl=ldaps://[::1]:636/dc=x%%20y?uid?sub?(a=b)'
seed userlist '"a" "md5"\n; c\n"b""c" ""\n'
seed connect "host=h dbname='it''s' port=1"
seed ini '[pgbouncer]\nlisten_port = 1\nauth_type = hba\nauth_hba_file = f\nauth_file = f\n[databases]\n* = host=a\n[users]\nu = pool_mode=session\n'
seed ini '%%include f\n[pgbouncer]\n'
seed handshake '\200\26\3\1\0\5\1\0\0\1\0'
seed handshake '\201\26\3\3\0\4\2\0\0\0'
seed records '\12\3\27\3\3\0\24aaaaaaaaaaaaaaaaaaaa'
seed protocols 'tlsv1.2,!tlsv1.3:secure'
mkdir -p "$work/names" "$work/pem"
openssl x509 -in "$work/certificate.pem" -outform DER -out "$work/names/1"
cp "$work/certificate.pem" "$work/pem/1"
cp "$work/key.pem" "$work/pem/2"

failed=0
for target in "${targets[@]}"; do
    echo "== $target"
    case " ${wire_targets[*]} | ${file_targets[*]} " in
    *" $target "*"|"*) program=$work/fuzz-wire ;;
    *"|"*" $target "*) program=$work/fuzz-files ;;
    *) program=$work/fuzz-tls ;;
    esac
    if FUZZ_TARGET=$target "$program" "$work/$target" -max_total_time="$share" -max_len=2048 -timeout=5 -detect_leaks=0 \
        -artifact_prefix="$work/crash-" >"$work/log" 2>&1; then
        grep '^Done' "$work/log"
    else
        failed=1
        grep -a 'Fatal error' "$work/log" || tail -40 "$work/log"
        for input in "$work"/crash-*; do
            [ -e "$input" ] && echo "input: $(base64 -w0 "$input")" && rm "$input"
        done
    fi
done
exit $failed
