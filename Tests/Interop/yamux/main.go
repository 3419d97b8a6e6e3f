// A peer that speaks yamux through the reference implementation, over plain TCP.
//
//	yamuxpeer listen          answers a client; prints the port it listens on
//	yamuxpeer dial ADDRESS    drives a server through every check; prints "ok"
//
// Each stream begins with one byte that says what it is: 'e' echoes until the end of input, 'b' and eight bytes of
// length (network order) sends that many bytes of a pattern, 's' reads to the end and answers their CRC-32, 'n' and
// eight bytes of length does so after that many bytes. This client uses 'n': once it has closed a stream, the reference
// reads no more from it than it has received already.
package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/hashicorp/yamux"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "listen":
		err = listen()
	case len(os.Args) == 3 && os.Args[1] == "dial":
		err = dial(os.Args[2])
	default:
		err = fmt.Errorf("usage: %s listen | dial ADDRESS", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func listen() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	connection, err := listener.Accept()
	if err != nil {
		return err
	}
	session, err := yamux.Server(connection, configuration())
	if err != nil {
		return err
	}
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return nil // the client has gone: done
		}
		go serve(stream)
	}
}

func configuration() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = os.Stderr
	return c
}

func serve(stream *yamux.Stream) {
	defer stream.Close()
	kind := make([]byte, 1)
	if _, err := io.ReadFull(stream, kind); err != nil {
		return
	}
	switch kind[0] {
	case 'e':
		io.Copy(stream, stream)
	case 'b':
		size := make([]byte, 8)
		if _, err := io.ReadFull(stream, size); err == nil {
			io.CopyN(stream, &pattern{}, int64(binary.BigEndian.Uint64(size)))
		}
	case 's':
		sum := crc32.NewIEEE()
		io.Copy(sum, stream)
		binary.Write(stream, binary.BigEndian, sum.Sum32())
	}
}

// pattern is an endless run of bytes that shows any loss or change of order.
type pattern struct{ at uint64 }

func (p *pattern) Read(bytes []byte) (int, error) {
	for i := range bytes {
		bytes[i] = byte(p.at*131 + p.at>>8)
		p.at++
	}
	return len(bytes), nil
}

func dial(address string) error {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	session, err := yamux.Client(connection, configuration())
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := session.Ping(); err != nil {
		return err
	}
	if err := bulk(session, 32<<20); err != nil {
		return err
	}
	var all sync.WaitGroup
	failures := make(chan error, 200)
	for i := 0; i < 200; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			if err := echo(session, fmt.Sprintf("stream %d ", i)+strings.Repeat("x", i*100)); err != nil {
				failures <- err
			}
		}(i)
	}
	all.Wait()
	select {
	case err := <-failures:
		return err
	default:
	}
	fmt.Println("ok")
	return nil
}

// bulk sends a pattern and compares the checksum that comes back.
func bulk(session *yamux.Session, size int64) error {
	stream, err := session.OpenStream()
	if err != nil {
		return err
	}
	defer stream.Close()
	stream.Write([]byte("n"))
	binary.Write(stream, binary.BigEndian, uint64(size))
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(io.MultiWriter(stream, sum), &pattern{}, size); err != nil {
		return err
	}
	var answer uint32
	if err := binary.Read(stream, binary.BigEndian, &answer); err != nil {
		return err
	}
	if answer != sum.Sum32() {
		return fmt.Errorf("checksum %x, wanted %x", answer, sum.Sum32())
	}
	return nil
}

func echo(session *yamux.Session, text string) error {
	stream, err := session.OpenStream()
	if err != nil {
		return err
	}
	defer stream.Close()
	stream.Write([]byte("e" + text))
	answer := make([]byte, len(text))
	if _, err := io.ReadFull(stream, answer); err != nil {
		return err
	}
	if string(answer) != text {
		return fmt.Errorf("echo of %d bytes came back as %d", len(text), len(answer))
	}
	return nil
}
