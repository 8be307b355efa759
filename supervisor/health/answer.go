package health

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net/http"
)

const (
	maxHead = 64 << 10 // bytes of status line and headers
	maxBody = 64 << 10 // bytes of a body that are read; what comes after is not waited for
	buffer  = 1 << 10
)

var errHead = errors.New("its headers are longer than 64 KiB")

// readAnswer reads one answer and returns its status, which is 0 where there was none, and an error
// unless the answer was whole, up to maxBody.
func readAnswer(r io.Reader) (status int, err error) {
	source := &source{Reader: r}
	limited := &io.LimitedReader{R: source, N: maxHead}
	b := bufio.NewReaderSize(limited, buffer)
	for range 10 { // interim answers, 103 Early Hints for one, come before the real one
		resp, err := http.ReadResponse(b, nil)
		if err != nil {
			switch {
			case limited.N <= 0:
				err = errHead
			case source.err != nil:
				err = source.err
			}
			return 0, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			limited.N = math.MaxInt64 // readBody counts, without what chunks add
			return resp.StatusCode, readBody(resp.Body)
		}
	}
	return 0, errors.New("it sent nothing but interim answers")
}

func readBody(body io.Reader) error {
	_, err := io.CopyN(io.Discard, body, maxBody)
	if err == io.EOF {
		return nil
	}
	return err
}

// source keeps the error that a read ended with, end of file apart: net/textproto calls a header
// that a timeout cut short malformed.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
