import Glibc
import NIOCore

/// One step on the way from what a tree's copy is to what the tree is.
enum TreeStep: Sendable {
    struct Attributes: Sendable, Hashable {
        /// The twelve permission bits.
        var mode: UInt16
        var owner: UInt32
        var group: UInt32
        /// Nanoseconds since 1970.
        var modified: Int64
        var extended: [ExtendedAttribute] = []

        init(_ status: stat, _ extended: [ExtendedAttribute] = []) {
            let read = FileStatus(status)
            (mode, owner, group, modified) = (read.mode, read.owner, read.group, read.modified)
            self.extended = extended
        }

        init(mode: UInt16, owner: UInt32, group: UInt32, modified: Int64) {
            (self.mode, self.owner, self.group, self.modified) = (mode, owner, group, modified)
        }
    }

    struct ExtendedAttribute: Sendable, Hashable {
        var name: [UInt8]
        var value: [UInt8]
    }

    /// What is neither file, folder nor link.
    enum Node: UInt8, Sendable {
        /// How a writable layer says that what is below it in the image is gone: a character device 0:0.
        case whiteout = 1
        case fifo = 2
        case socket = 3
    }

    case folder(TreePath, Attributes)
    /// Opens a file, whose blocks and `close` follow; `isFresh` where nothing of what the copy has there may be used.
    case file(TreePath, Attributes, size: Int64, isFresh: Bool)
    case block(offset: Int64, ByteBuffer)
    case close
    /// A further name of a file.
    case name(TreePath, of: TreePath)
    case link(TreePath, Attributes, text: [UInt8])
    case node(TreePath, Attributes, Node)
    case remove(TreePath)

    /// Files travel in blocks of this many bytes: what differs between two passes is found by block.
    static let blockSize = 256 << 10
}

extension ByteBuffer {
    mutating func write(_ step: TreeStep) {
        switch step {
        case .folder(let path, let attributes):
            begin(1, path)
            write(attributes)
        case .file(let path, let attributes, let size, let isFresh):
            begin(2, path)
            write(attributes)
            writeInteger(size)
            writeInteger(UInt8(isFresh ? 1 : 0))
        case .block(let offset, let bytes):
            writeInteger(UInt8(3))
            writeInteger(offset)
            writeInteger(UInt32(bytes.readableBytes))
            writeImmutableBuffer(bytes)
        case .close: writeInteger(UInt8(4))
        case .name(let path, let other):
            begin(5, path)
            write(short: other.bytes)
        case .link(let path, let attributes, let text):
            begin(6, path)
            write(attributes)
            write(short: text)
        case .node(let path, let attributes, let node):
            begin(7, path)
            write(attributes)
            writeInteger(node.rawValue)
        case .remove(let path): begin(8, path)
        }
    }

    private mutating func begin(_ code: UInt8, _ path: TreePath) {
        writeInteger(code)
        write(short: path.bytes)
    }

    private mutating func write(short bytes: [UInt8]) {
        writeInteger(UInt16(bytes.count))
        writeBytes(bytes)
    }

    private mutating func write(_ attributes: TreeStep.Attributes) {
        writeMultipleIntegers(attributes.mode, attributes.owner, attributes.group, attributes.modified)
        writeInteger(UInt16(attributes.extended.count))
        for each in attributes.extended {
            write(short: each.name)
            writeInteger(UInt32(each.value.count))
            writeBytes(each.value)
        }
    }

    /// Takes the next step off; nil at the end.
    mutating func readStep() throws(MountError) -> TreeStep? {
        guard let code: UInt8 = readInteger() else { return nil }
        switch code {
        case 1: return .folder(try path(), try attributes())
        case 2: return .file(try path(), try attributes(), size: try integer(), isFresh: try integer(UInt8.self) != 0)
        case 3:
            let offset: Int64 = try integer()
            let count = try integer(UInt32.self)
            guard offset >= 0, count <= TreeStep.blockSize, let bytes = readSlice(length: Int(count)) else {
                throw .violation("a block of a file is cut short or too large")
            }
            return .block(offset: offset, bytes)
        case 4: return .close
        case 5: return .name(try path(), of: try path())
        case 6: return .link(try path(), try attributes(), text: try short())
        case 7:
            let (path, attributes) = (try path(), try attributes())
            guard let node = TreeStep.Node(rawValue: try integer()) else { throw .violation("an unknown kind of file") }
            return .node(path, attributes, node)
        case 8: return .remove(try path())
        default: throw .violation("an unknown step \(code) of a tree")
        }
    }

    private mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(MountError) -> T {
        guard let value: T = readInteger() else { throw .violation("a step of a tree is cut short") }
        return value
    }

    private mutating func short() throws(MountError) -> [UInt8] {
        guard let bytes = readBytes(length: Int(try integer(UInt16.self))) else {
            throw .violation("a step of a tree is cut short")
        }
        return bytes
    }

    private mutating func path() throws(MountError) -> TreePath {
        guard let path = TreePath(try short()) else { throw .violation("a path leads out of its tree") }
        return path
    }

    private mutating func attributes() throws(MountError) -> TreeStep.Attributes {
        var attributes = TreeStep.Attributes(
            mode: try integer(UInt16.self) & 0o7777, owner: try integer(), group: try integer(),
            modified: try integer())
        for _ in 0..<(try integer(UInt16.self)) {
            let name = try short()
            let count = try integer(UInt32.self)
            guard TreeStep.ExtendedAttribute.travels(name), let value = readBytes(length: Int(count)) else {
                throw .violation("an extended attribute that does not travel")
            }
            attributes.extended.append(TreeStep.ExtendedAttribute(name: name, value: value))
        }
        return attributes
    }
}
