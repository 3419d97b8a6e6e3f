internal import NIOCore

extension Message {
    /// Appends the message with its length before it.
    func write(into buffer: inout ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeInteger(UInt32(0))
        writeBody(into: &buffer)
        buffer.setInteger(UInt32(buffer.writerIndex - start - 4), at: start)
    }

    private func writeBody(into buffer: inout ByteBuffer) {
        buffer.writeInteger(code)
        switch self {
        case .hello(let hello):
            buffer.writeString(Self.magic)
            buffer.writeMultipleIntegers(Self.version, hello.side.rawValue)
            for flag in [hello.isFile, hello.isPrivileged, hello.compresses] {
                buffer.writeInteger(flag ? 1 : 0 as UInt8)
            }
        case .rules(let text): buffer.writeBytes(text)
        case .buckets(let mirror, let digests):
            for digest in [mirror] + digests { buffer.writeMultipleIntegers(digest.high, digest.low) }
        case .list(let buckets): for bucket in buckets.sorted() { buffer.writeInteger(bucket) }
        case .entries(let entries):
            for listed in entries {
                buffer.write(listed.path)
                buffer.writeInteger(listed.entry == nil ? 0 : 1 as UInt8)
                if let entry = listed.entry { buffer.write(entry) }
            }
        case .listed(let token), .probe(let token): buffer.writeInteger(token)
        case .place(let operation):
            buffer.writeInteger(operation.id)
            buffer.write(operation.path)
            buffer.writeMultipleIntegers(operation.expected, operation.action.code)
            operation.action.write(into: &buffer)
        case .chunks(let id, let marks):
            buffer.writeInteger(id)
            for mark in marks {
                buffer.write(mark.digest)
                buffer.writeMultipleIntegers(mark.length, mark.isZero ? 1 : 0 as UInt8)
            }
        case .needs(let id, let flags):
            buffer.writeInteger(id)
            buffer.writeBytes(flags)
        case .data(let id, let offset, let bytes):
            buffer.writeMultipleIntegers(id, offset)
            buffer.writeImmutableBuffer(bytes)
        case .hole(let id, let offset, let length): buffer.writeMultipleIntegers(id, offset, length)
        case .commit(let id, let entry):
            buffer.writeInteger(id)
            buffer.write(entry)
        case .abort(let id): buffer.writeInteger(id)
        case .done(let id, let outcome):
            buffer.writeMultipleIntegers(id, outcome.code)
            if case .failed(let reason) = outcome { buffer.writeString(reason) }
        case .want(let want):
            buffer.writeMultipleIntegers(
                want.id, want.comparesChunks ? 1 : 0 as UInt8, want.allowsTwin ? 1 : 0 as UInt8)
            buffer.write(want.path)
        case .settled: break
        }
    }
}

extension Message.Action {
    fileprivate func write(into buffer: inout ByteBuffer) {
        switch self {
        case .remove: break
        case .rename(let name): buffer.writeBytes(name)
        case .folder(let entry, let attributes), .settle(let entry, let attributes):
            buffer.write(entry)
            buffer.write(attributes)
        case .link(let entry, let text):
            buffer.write(entry)
            buffer.writeBytes(text)
        case .twin(let entry, let path):
            buffer.write(entry)
            buffer.write(path)
        case .file(var entry, let attributes, let content):
            entry.digest = .zero
            buffer.write(entry)
            buffer.write(attributes)
            buffer.writeImmutableBuffer(content)
        case .begin(let entry, let attributes, let comparesChunks):
            buffer.write(entry)
            buffer.write(attributes)
            buffer.writeInteger(comparesChunks ? 1 : 0 as UInt8)
        }
    }
}

extension ByteBuffer {
    mutating func write(_ path: TreePath) {
        writeInteger(UInt16(path.bytes.count))
        writeBytes(path.bytes)
    }

    mutating func write(_ entry: Entry) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Entry.byteCount)
        entry.append(to: &bytes)
        writeBytes(bytes)
    }

    mutating func write(_ digest: Digest) {
        writeMultipleIntegers(digest.words.0, digest.words.1, digest.words.2, digest.words.3)
    }

    fileprivate mutating func write(_ attributes: ExtendedAttributes) {
        writeInteger(UInt16(attributes.values.count))
        for (name, value) in attributes.values {
            writeInteger(UInt8(name.count))
            writeBytes(name)
            writeInteger(UInt32(value.count))
            writeBytes(value)
        }
    }
}
