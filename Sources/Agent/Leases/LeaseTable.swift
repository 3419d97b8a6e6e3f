package import Fleet
import Glibc
import Synchronization

/// What is to be stopped and when, in memory that lighterd shares with its fence: a file of the node's runtime folder, mapped.
///
/// lighterd alone makes and frees entries. Both may fence one, which is done by exchanging its word: of two that act at the
/// same moment one renews or fences, and the other finds out. Nobody ever waits for the other, so that a program that was
/// stopped in the middle holds up nothing.
package final class LeaseTable: @unchecked Sendable {
    // Unchecked: the mapping lives as long as this, and what two threads may change at once is atomic.

    package struct Entry: Sendable, Hashable {
        package var slot: Int
        package var workload: WorkloadID
        package var epoch: UInt64
        package var origin: NodeID
        /// Nil while its container is being made.
        package var containerID: String?
        fileprivate var word: UInt64
        fileprivate var flags: UInt64

        /// Until when it may run, in nanoseconds of `BootClock`.
        package var deadline: UInt64 { word & ~LeaseTable.fencedBit }
        package var isFenced: Bool { word & LeaseTable.fencedBit != 0 }
        /// Nothing of it runs any more.
        package var isDone: Bool { flags & LeaseTable.doneBit != 0 }

        package func isDue(at now: UInt64) -> Bool { isFenced ? !isDone : deadline <= now }
    }

    package static let capacity = 1024
    fileprivate static let fencedBit: UInt64 = 1 << 63
    fileprivate static let doneBit: UInt64 = 1
    private static let magic: UInt64 = 0x4c74_724c_6561_7365
    private static let header = 4096
    private static let slotSize = 256
    private static let size = header + capacity * slotSize
    private static let longestPath = 1024

    private enum Field {
        static let magic = 0
        static let gateway = 8
        static let boot = 16
        static let engine = 128
        static let word = 0
        static let flags = 8
        static let epoch = 16
        static let workload = 24
        static let container = 56
        static let origin = 120
    }

    private let base: UnsafeMutableRawPointer
    /// Whether there was none of this boot.
    package let isFresh: Bool

    /// Maps the table, and makes an empty one where there is none of this boot.
    ///
    /// - Parameters:
    ///   - engine: the engine's socket; nil to leave what an earlier process has written.
    ///   - boot: which boot of the machine this is.
    /// - Returns: nil where the file cannot be made or mapped; see `errno`.
    package init?(path: String, engine: String?, boot: String) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { return nil }
        let isWhole = status.st_size == Self.size
        guard isWhole || ftruncate(file, 0) == 0 && ftruncate(file, off_t(Self.size)) == 0,
            let mapped = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), mapped != MAP_FAILED
        else { return nil }
        base = mapped
        let isKnown =
            mapped.load(fromByteOffset: Field.magic, as: UInt64.self) == Self.magic
            && Self.text(mapped, Field.boot, Field.engine - Field.boot) == boot
        isFresh = !isKnown
        if !isKnown {
            memset(mapped, 0, Self.size)
            Self.put(boot, mapped, Field.boot, Field.engine - Field.boot)
            mapped.storeBytes(of: Self.magic, toByteOffset: Field.magic, as: UInt64.self)
        }
        if let engine { Self.put(engine, mapped, Field.engine, Self.longestPath) }
    }

    deinit { munmap(base, Self.size) }

    /// Which boot of the machine this is.
    package static var thisBoot: String {
        let text = TextFile.read("/proc/sys/kernel/random/boot_id") ?? ""
        return String(text.prefix { $0 != "\n" })
    }

    /// The engine's socket.
    package var engine: String { Self.text(base, Field.engine, Self.longestPath) }

    /// Until when the gateway's own word stands.
    package var gatewayDeadline: UInt64 {
        get { atomic(Field.gateway).pointee.load(ordering: .acquiring) }
        set { atomic(Field.gateway).pointee.store(newValue, ordering: .releasing) }
    }

    package var entries: [Entry] { (0..<Self.capacity).compactMap { entry($0) } }

    package subscript(slot: Int) -> Entry? { entry(slot) }

    // MARK: - lighterd's

    /// - Parameter deadline: nil for one that must not run now.
    /// - Returns: the slot; nil when all are taken.
    package func claim(_ workload: WorkloadID, epoch: UInt64, origin: NodeID, until deadline: UInt64?) -> Int? {
        guard let slot = (0..<Self.capacity).first(where: { word($0).pointee.load(ordering: .relaxed) == 0 }) else {
            return nil
        }
        let offset = offset(slot)
        flags(slot).pointee.store(0, ordering: .relaxed)
        base.storeBytes(of: epoch, toByteOffset: offset + Field.epoch, as: UInt64.self)
        Self.put(workload.hex, base, offset + Field.workload, Field.container - Field.workload)
        Self.put("", base, offset + Field.container, Field.origin - Field.container)
        Self.put(origin.name, base, offset + Field.origin, Self.slotSize - Field.origin)
        word(slot).pointee.store(deadline.map { max($0, 1) } ?? Self.fencedBit, ordering: .releasing)
        return slot
    }

    /// The container is there; it has not been started yet.
    package func name(_ slot: Int, _ containerID: String) {
        Self.put(containerID, base, offset(slot) + Field.container, Field.origin - Field.container)
    }

    /// - Returns: false when it has been fenced.
    package func renew(_ slot: Int, until deadline: UInt64) -> Bool {
        let known = word(slot).pointee.load(ordering: .acquiring)
        guard known & Self.fencedBit == 0 else { return false }
        return known == deadline
            || word(slot).pointee.compareExchange(expected: known, desired: deadline, ordering: .acquiringAndReleasing)
                .exchanged
    }

    /// It may run again.
    package func reopen(_ slot: Int, until deadline: UInt64) {
        flags(slot).pointee.store(0, ordering: .releasing)
        word(slot).pointee.store(deadline, ordering: .releasing)
    }

    /// Something of it may run after all.
    package func undone(_ slot: Int) { flags(slot).pointee.store(0, ordering: .releasing) }

    package func free(_ slot: Int) { word(slot).pointee.store(0, ordering: .releasing) }

    // MARK: - Both's

    /// Says that it must not run any more; only if it has not been renewed since `entry` was read.
    /// - Returns: false when it has.
    package func fence(_ entry: Entry) -> Bool {
        if entry.isFenced { return word(entry.slot).pointee.load(ordering: .acquiring) == entry.word }
        return word(entry.slot).pointee.compareExchange(
            expected: entry.word, desired: entry.word | Self.fencedBit, ordering: .acquiringAndReleasing
        ).exchanged
    }

    /// Nothing of it runs any more.
    package func done(_ entry: Entry) {
        guard word(entry.slot).pointee.load(ordering: .acquiring) & Self.fencedBit != 0 else { return }
        flags(entry.slot).pointee.bitwiseOr(Self.doneBit, ordering: .releasing)
    }

    // MARK: - Bytes

    private func entry(_ slot: Int) -> Entry? {
        let word = word(slot).pointee.load(ordering: .acquiring)
        let offset = offset(slot)
        guard word != 0,
            let workload = try? WorkloadID(Self.text(base, offset + Field.workload, Field.container - Field.workload)),
            let origin = try? NodeID(Self.text(base, offset + Field.origin, Self.slotSize - Field.origin))
        else { return nil }
        let container = Self.text(base, offset + Field.container, Field.origin - Field.container)
        return Entry(
            slot: slot, workload: workload, epoch: base.load(fromByteOffset: offset + Field.epoch, as: UInt64.self),
            origin: origin, containerID: container.utf8.count == 64 ? container : nil, word: word,
            flags: flags(slot).pointee.load(ordering: .acquiring))
    }

    private func offset(_ slot: Int) -> Int { Self.header + slot * Self.slotSize }
    private func word(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { atomic(offset(slot) + Field.word) }
    private func flags(_ slot: Int) -> UnsafeMutablePointer<Atomic<UInt64>> { atomic(offset(slot) + Field.flags) }

    private func atomic(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// Bytes up to the first zero.
    private static func text(_ base: UnsafeMutableRawPointer, _ offset: Int, _ room: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: base + offset, count: room).prefix { $0 != 0 }, as: UTF8.self)
    }

    /// What does not fit is left out.
    private static func put(_ text: String, _ base: UnsafeMutableRawPointer, _ offset: Int, _ room: Int) {
        let field = UnsafeMutableRawBufferPointer(start: base + offset, count: room)
        let bytes = Array(text.utf8.prefix(room))
        for index in bytes.indices.reversed() { field[index] = bytes[index] }
        for index in bytes.count..<room { field[index] = 0 }
    }
}
