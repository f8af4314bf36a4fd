#!/bin/sh
# Builds the static binary for each system there is a release for, into dist/.
set -eu
GO=${GO:-go}
mkdir -p dist
for target in linux/amd64 linux/arm64 linux/arm/6 darwin/arm64 windows/amd64; do
	os=${target%%/*} rest=${target#*/}
	arch=${rest%%/*} arm=
	case $rest in */*) arm=${rest#*/} ;; esac
	out=dist/outpost-$os-$arch$arm
	case $os in windows) out=$out.exe ;; esac
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOARM=$arm "$GO" build -trimpath -ldflags '-s -w' -o "$out" ./cmd/outpost
	printf '%s\t%s bytes\n' "$out" "$(wc -c <"$out" | tr -d ' ')"
done
