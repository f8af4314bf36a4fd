#!/bin/sh
# Installs what the tests talk to, where it is missing: Dovecot's POP3,
# IMAP and LMTP servers, mbsync, curl, Python, Postfix, dnsmasq, slirp, pppd with a user-mode Linux that has PPP, ip and nft; or
# what the arguments name instead, each as PROGRAM:PACKAGE. It can do so on Debian,
# as root. Elsewhere, and if that fails, it says what the tests will have to do
# without, and that is no error: the tests that need it skip with a clear line, or
# fail if CI=true.
#
# No service is started and nothing is configured; the tests start their own.
set -eu

PATH=$PATH:/usr/sbin:/sbin:/usr/lib/dovecot:/usr/libexec/dovecot:/usr/local/sbin
policy=/usr/sbin/policy-rc.d
kept=$policy.before-outpost

# pppd itself may be run by the group dip only, but chat comes with it.
peers="pop3-login:dovecot-pop3d imap:dovecot-imapd lmtp:dovecot-lmtpd mbsync:isync curl python3 postconf:postfix dnsmasq:dnsmasq-base slirp-fullbolt:slirp chat:ppp ip:iproute2 nft:nftables"
case $(uname -m) in
x86_64 | i?86) peers="$peers linux.uml:user-mode-linux" ;;
*) [ $# -gt 0 ] || echo "peers: user-mode Linux is for PCs only; the tests that need it will not run" >&2 ;;
esac
[ $# = 0 ] || peers=$*

# absent prints the packages whose program isn't there, a line each.
absent() {
	for peer in $peers; do
		command -v "${peer%%:*}" >/dev/null || echo "${peer#*:}"
	done
}

# report WHY says what is still missing, a line each.
report() {
	for package in $(absent); do
		echo "peers: $package is missing ($1); the tests that need it will not run" >&2
	done
}

# hold_services makes Debian's packages start nothing while they are installed.
hold_services() {
	trap release_services EXIT
	trap 'exit 1' HUP INT TERM
	# One kept by a run that was killed is the machine's own; don't put ours over it.
	[ -e "$kept" ] || [ ! -e "$policy" ] || mv "$policy" "$kept"
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

release_services() {
	rm -f "$policy"
	[ ! -e "$kept" ] || mv "$kept" "$policy"
}

install() {
	# shellcheck disable=SC2046 # a word a package
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
		install --no-install-recommends $(absent) </dev/null >&2
}

# go test says nothing of tests that are skipped, so it is said here.
[ "$(id -u)" = 0 ] || echo "peers: postfix and network namespaces are for root only; the tests that need them will not run" >&2
[ -n "$(absent)" ] || exit 0

if ! command -v apt-get >/dev/null || [ ! -e /etc/debian_version ]; then
	report "it can be installed for you on Debian only"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	report "run \"make peers\" as root to install it"
	exit 0
fi

hold_services
# Without an answer Postfix's package makes up a configuration of the machine's mail.
echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections || true
# The lists of a fresh container are empty, those of an old one name files that are gone.
install 2>/dev/null || { apt-get -qq update >&2 && install; } || true
report "apt-get could not install it"
