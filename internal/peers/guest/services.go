//go:build linux

package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
)

// serve offers the services. None of them is ever ended.
func serve() error {
	for port, service := range map[int]func(net.Conn) error{
		2007: echo,
		2009: sink,
		2019: source,
		2080: hello,
	} {
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go accept(l, service)
	}
	return nil
}

func accept(l net.Listener, service func(net.Conn) error) {
	for {
		conn, err := l.Accept()
		if err != nil {
			fmt.Println("guest:", err)
			return
		}
		go func() {
			defer conn.Close()
			if err := service(conn); err != nil {
				fmt.Printf("guest: %v: %v\n", conn.LocalAddr(), err)
			}
		}()
	}
}

// echo gives back all it is given.
func echo(conn net.Conn) error {
	_, err := io.Copy(conn, conn)
	return err
}

// sink is told a number of octets in a line, takes so many, and answers with
// their SHA-256 in hexadecimal, a line too.
func sink(conn net.Conn) error {
	in := bufio.NewReader(conn)
	var n int64
	if _, err := fmt.Fscanf(in, "%d\n", &n); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.CopyN(hash, in, n); err != nil {
		return err
	}
	_, err := fmt.Fprintf(conn, "%x\n", hash.Sum(nil))
	return err
}

// source is told a number of octets and a seed in a line, and gives so many: those
// of ChaCha8, whose key begins with the seed, the lowest octet first.
func source(conn net.Conn) error {
	var n int64
	var key [32]byte
	var seed uint64
	if _, err := fmt.Fscanf(bufio.NewReader(conn), "%d %d\n", &n, &seed); err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(key[:], seed)
	_, err := io.CopyN(conn, rand.NewChaCha8(key), n)
	return err
}

// hello answers any request of HTTP/1.0 with the same short page.
func hello(conn net.Conn) error {
	request := bufio.NewScanner(conn)
	for request.Scan() && strings.TrimSpace(request.Text()) != "" {
		continue
	}
	const page = "Hello from Linux.\n" // peers.HTTPPage
	_, err := fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(page), page)
	return err
}
