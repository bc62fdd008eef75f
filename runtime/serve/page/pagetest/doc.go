// Package pagetest uses the page at / of a served executable in a headless browser: `make test-page`. It is a module of its
// own, so that the product's go.mod does not name what drives the browser, and it reaches the page through HTTP alone.
package pagetest
