import NIOCore

/// A buffer that holds `text`.
func bytes(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }
