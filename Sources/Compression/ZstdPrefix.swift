package import NIOCore

/// Bytes that both ends of a stream have before it begins, and in which repetitions are found.
package final class ZstdPrefix {
    /// Its memory stays where it is for as long as a stream refers to it.
    let bytes: UnsafeRawBufferPointer

    package init(_ buffer: ByteBuffer) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.readableBytes, alignment: 16)
        buffer.withUnsafeReadableBytes { copy.copyMemory(from: $0) }
        bytes = UnsafeRawBufferPointer(copy)
    }

    deinit { bytes.deallocate() }
}
