// Command release builds the archives of a release: one for each platform, with
// the binary, the manual and the shell completions, and their checksums. The
// same sources and version give the same bytes.
//
//	go run ./scripts/release -out dist v0.1.0
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// platforms are those that are built for.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

func main() {
	out := flag.String("out", "dist", "folder for the archives")
	only := flag.String("only", "", "build for these platforms only, separated by commas")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: release [-out FOLDER] [-only PLATFORMS] VERSION")
	}
	targets := platforms
	if *only != "" {
		targets = strings.Split(*only, ",")
	}
	if err := release(*out, flag.Arg(0), targets); err != nil {
		log.Fatal(err)
	}
}

func release(out, version string, targets []string) error {
	work, err := os.MkdirTemp("", "marmot-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	at, err := commitTime()
	if err != nil {
		return err
	}
	common, err := documents(work, version)
	if err != nil {
		return err
	}
	var sums []string
	for _, target := range targets {
		name, b, err := buildOne(work, version, target, common, at)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		if err := os.WriteFile(filepath.Join(out, name), b, 0o644); err != nil {
			return err
		}
		sums = append(sums, fmt.Sprintf("%x  %s\n", sha256.Sum256(b), name))
		fmt.Printf("%s: %d bytes\n", name, len(b))
	}
	slices.Sort(sums)
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(strings.Join(sums, "")), 0o644)
}

// commitTime dates everything in the archives.
func commitTime() (time.Time, error) {
	b, err := exec.Command("git", "log", "-1", "--format=%cI").Output()
	if err != nil {
		return time.Time{}, fmt.Errorf("git: %w", err)
	}
	return time.Parse(time.RFC3339, strings.TrimSpace(string(b)))
}

// build compiles marmot; empty goos and goarch are this machine's.
func build(path, version, goos, goarch string) error {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", path, "./cmd/marmot")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	c.Stderr = os.Stderr
	return c.Run()
}

// documents makes what is in every archive, by its name there.
func documents(work, version string) (map[string][]byte, error) {
	marmot := filepath.Join(work, "marmot-here")
	if err := build(marmot, version, "", ""); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range []string{"README.md", "LICENSE"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[name] = b
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		b, err := exec.Command(marmot, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion %s: %w", shell, err)
		}
		files["completions/marmot."+shell] = b
	}
	manual := filepath.Join(work, "man")
	if err := exec.Command(marmot, "man", manual).Run(); err != nil {
		return nil, fmt.Errorf("man: %w", err)
	}
	pages, err := filepath.Glob(filepath.Join(manual, "*.1"))
	if err != nil {
		return nil, err
	}
	for _, page := range pages {
		if files["man/"+filepath.Base(page)], err = os.ReadFile(page); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// buildOne makes the archive of one platform.
func buildOne(work, version, target string, common map[string][]byte, at time.Time) (string, []byte, error) {
	goos, goarch, ok := strings.Cut(target, "/")
	if !ok {
		return "", nil, fmt.Errorf("%q is no platform, such as linux/amd64", target)
	}
	program := "marmot"
	if goos == "windows" {
		program += ".exe"
	}
	path := filepath.Join(work, goos+"-"+goarch)
	if err := build(path, version, goos, goarch); err != nil {
		return "", nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	folder := fmt.Sprintf("marmot-%s-%s-%s", version, goos, goarch)
	if goos == "windows" {
		archive, err := zipped(folder, program, b, common, at)
		return folder + ".zip", archive, err
	}
	archive, err := tarred(folder, program, b, common, at)
	return folder + ".tar.gz", archive, err
}
