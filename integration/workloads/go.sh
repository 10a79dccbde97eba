# A Go program: built with C, vetted and tested; a server and its client, goroutines, a child. The server stays in the
# image, for the test that starts it.
export HOME=/tmp/go GOFLAGS=-mod=mod GOPROXY=off
mkdir $HOME
cd $HOME
go mod init example.org/server
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
)

func sum() (total int) {
	var all sync.WaitGroup
	parts := make(chan int, 100)
	for n := 0; n < 100; n++ {
		all.Add(1)
		go func(n int) { defer all.Done(); parts <- n }(n)
	}
	all.Wait()
	close(parts)
	for part := range parts {
		total += part
	}
	return
}

func answer(w http.ResponseWriter, r *http.Request) {
	said, err := exec.Command("echo", "child").Output()
	fmt.Fprint(w, sum(), " ", string(said), err)
}

func main() {
	http.HandleFunc("/", answer)
	http.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir("/usr/bin"))))
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], nil))
}
GO
cat >main_test.go <<'GO'
package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(answer))
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if said, _ := io.ReadAll(response.Body); string(said) != "4950 child\n<nil>" {
		t.Fatalf("%q", said)
	}
}
GO
go vet
go test
go build -o /usr/local/bin/go-server
works
