#!/bin/bash
# Outpost, as a client of bench.sh: see there for the steps and their environment. It
# needs nothing else, so it can be run by another bench that calls its clients so.
#
# All optional:
#   OUTPOST_BIN       the binary. Default: outpost in PATH, or else built from the
#                     repository that this script lies in
#   OUTPOST_RATE_BPS  the line's rate_bps and round_trip_ms. Default: what BENCH_PRESET
#   OUTPOST_RTT_MS    says (of a line with two rates the uplink's, which is what is
#                     paced), or else left out
#   OUTPOST_DNS       1: addresses are asked for over the line; else they stand in
#                     /etc/hosts, as they do for the tuned peers
#   OUTPOST_LISTEN    where mail is handed in (127.0.0.1:2525)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
conf=$WORK_DIR/outpost.toml

# built prints the path of a binary built from the repository.
built() {
	found=$here/../bin/outpost # by build.sh
	if [ -z "${BENCH_BUILT:-}" ] || [ ! -x "$found" ]; then
		found=$WORK_DIR/bin/outpost
		[ -x "$found" ] || (cd "$here" && ${GO:-go} build -o "$found" ../../cmd/outpost) >&2
	fi
	echo "$found"
}

outpost=${OUTPOST_BIN:-$(command -v outpost || built)}
listen=${OUTPOST_LISTEN:-127.0.0.1:2525}

# quote TEXT: prints it as a TOML string.
quote() {
	printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"
}

# the_line prints what is known of the line.
the_line() {
	case ${BENCH_PRESET:-} in
	landline33) rate=33600 rtt=150 ;;
	v90) rate=33600 rtt=130 ;;
	gsm) rate=9600 rtt=600 ;;
	iridium) rate=2400 rtt=1800 ;;
	certus) rate=176000 rtt=700 ;;
	*) rate='' rtt='' ;;
	esac
	rate=${OUTPOST_RATE_BPS:-$rate} rtt=${OUTPOST_RTT_MS:-$rtt}
	[ -z "$rate" ] || echo "rate_bps = $rate"
	[ -z "$rtt" ] || echo "round_trip_ms = $rtt"
}

# server HOST PORT TLS USER PASSWORD: prints what smarthost and boxes have in common.
server() {
	printf 'host = %s\nport = %s\ntls = "%s"\n' "$(quote "$1")" "$2" "$3"
	[ "$3" = none ] || printf 'ca_file = %s\n' "$(quote "$TLS_CA")"
	[ -z "$4" ] || printf 'user = %s\npassword = %s\n' "$(quote "$4")" "$(quote "$5")"
	[ -z "$4" ] || [ "$3" != none ] || echo 'allow_plain_password = true'
}

# configuration prints all of it: a user for each box.
configuration() {
	cat <<-EOF
		[office]
		name = "gateway.field.test"
		domains = ["field.test"]
		[storage]
		dir = $(quote "$WORK_DIR/storage")
		[smtp]
		listen = ["$listen"]
		[imap]
		listen = []
		[[line]]
		kind = "net"
		$(the_line)
		[smarthost]
	EOF
	server "$SMTP_HOST" "$SMTP_PORT" "$SMTP_TLS" "${SMTP_USER:-}" "${SMTP_PASS:-}"
	n=0
	while read -r user password; do
		n=$((n + 1))
		printf '[[user]]\nname = "box%d"\naddresses = ["box%d@field.test"]\n' $n $n
		printf '[[box]]\nname = "box%d"\ndeliver_to = ["box%d"]\n' $n $n
		server "$POP3_HOST" "$POP3_PORT" "$POP3_TLS" "$user" "$password"
	done <"$POP3_USERS"
}

# serve starts the daemon, unless it runs already, and returns when it answers. Its
# /etc/hosts is for it alone.
serve() {
	[ ! -f "$WORK_DIR/outpost.pid" ] || return 0
	mkdir -p "$WORK_DIR/storage/mail"
	configuration >"$conf"
	chmod 600 "$conf"
	printf '127.0.0.1 localhost\n%s %s %s\n' "$ISP_IP" "$SMTP_HOST" "$POP3_HOST" >"$WORK_DIR/hosts"
	hosts=$WORK_DIR/hosts
	[ -z "${OUTPOST_DNS:-}" ] || hosts=/etc/hosts
	# shellcheck disable=SC2016
	unshare --mount sh -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' sh "$hosts" \
		"$outpost" serve --config "$conf" >"$WORK_DIR/outpost.log" 2>&1 &
	echo $! >"$WORK_DIR/outpost.pid"
	i=0
	until "$outpost" status --config "$conf" >/dev/null 2>&1; do
		i=$((i + 1))
		[ $i -lt 100 ] || { cat "$WORK_DIR/outpost.log"; exit 1; }
		sleep 0.1
	done
}

# say LINE CODE: gives a command to the daemon and wants this answer.
say() {
	printf '%s\r\n' "$1" >&3
	answer "$2"
}

answer() {
	while IFS= read -r -t 60 line <&3; do
		case $line in
		"$1 "*) return ;;
		"$1-"*) ;;
		*) break ;;
		esac
	done
	echo "smtp: wanted $1, got: ${line:-nothing}" >&2
	return 1
}

# submit hands in the mail of OUT_DIR by SMTP. It changes no octet but the line ends.
submit() {
	exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}"
	answer 220
	say 'EHLO bench.field.test' 250
	while read -r file from recipients; do
		say "MAIL FROM:<$from>" 250
		for to in $recipients; do say "RCPT TO:<$to>" 250; done
		say DATA 354
		# The last expression ends the last line, where it has no end.
		LC_ALL=C sed -e 's/\r$//' -e 's/^\./../' -e 's/$/\r/' -e '$a\' "$OUT_DIR/$file" >&3
		say . 250
	done <"$OUT_DIR/envelopes"
	say QUIT 221
	exec 3>&-
}

# delivered waits until all that was collected is in the mail folders, a minute at most.
delivered() {
	i=0
	while [ $i -lt 600 ] && "$outpost" status --config "$conf" | grep -q ^incoming:; do
		sleep 0.1
		i=$((i + 1))
	done
}

# stop ends the daemon and waits for it.
stop() {
	[ -f "$WORK_DIR/outpost.pid" ] || return 0
	pid=$(cat "$WORK_DIR/outpost.pid")
	kill "$pid" || true
	i=0
	while [ $i -lt 200 ] && kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
		i=$((i + 1))
	done
	rm -f "$WORK_DIR/outpost.pid"
}

case $1 in
prepare)
	serve
	submit
	;;
session) "$outpost" connect --config "$conf" ;;
cleanup)
	delivered
	stop
	cat "$WORK_DIR/outpost.log"
	find "$WORK_DIR/storage/mail" -type f \( -path '*/new/*' -o -path '*/cur/*' \) -exec cp -t "$FETCH_DIR" {} +
	;;
esac
