package server

// The service has some objects bare that the engine gives and takes inside of
// a vector (RFC 9420, Section 2.1.2). Those are shorter than 2^14 bytes, which
// leaves two forms of the length.

// vector returns content after its length.
func vector(content []byte) []byte {
	n := len(content)
	if n < 1<<6 {
		return append([]byte{byte(n)}, content...)
	}
	return append([]byte{byte(n>>8&0x3f | 0x40), byte(n)}, content...)
}

// cutVector returns the content of the vector that b, made by the engine,
// starts with, and what follows.
func cutVector(b []byte) (content, rest []byte) {
	n, size := int(b[0]), 1
	if b[0]>>6 == 1 {
		n, size = int(b[0]&0x3f)<<8|int(b[1]), 2
	}
	return b[size : size+n], b[size+n:]
}
