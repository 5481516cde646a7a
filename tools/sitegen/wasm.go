package main

// adder returns a WebAssembly module with one function, add(i32, i32) i32,
// encoded by hand. A browser compiles it while streaming only if the server
// sends it as application/wasm.
func adder() ([]byte, error) {
	return []byte{
		0x00, 'a', 's', 'm', 1, 0, 0, 0, // magic, version
		1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, // types: (i32, i32) -> i32
		3, 2, 1, 0, // functions: one, of type 0
		7, 7, 1, 3, 'a', 'd', 'd', 0, 0, // exports: "add" is function 0
		10, 9, 1, 7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b, // code: local 0 + local 1
	}, nil
}
