import CMalloc
import Glibc

/// Gives back what an idle daemon does not need: a device has little memory, and most of a daemon's is of its start.
enum MemoryThrift {
    /// After the start has settled, then now and then, for what a busy time has left.
    private static let pauses: (first: Duration, further: Duration) = (.seconds(3), .seconds(60))

    /// Until it is cancelled.
    static func keep() async {
        var pause = pauses.first
        while (try? await Task.sleep(for: pause)) != nil {
            malloc_trim(0)
            letGoOfCode()
            pause = pauses.further
        }
    }

    /// Unmaps this program's code, which the kernel maps again as it is used, from its cache of the file.
    ///
    /// The kernel maps sixteen pages around each one that is touched, so that after a start most of the code is resident.
    private static func letGoOfCode() {
        guard let maps = fopen("/proc/self/maps", "re") else { return }
        defer { fclose(maps) }
        var link = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard readlink("/proc/self/exe", &link, link.count - 1) > 0 else { return }
        let program = text(link)
        var line = [CChar](repeating: 0, count: Int(PATH_MAX) + 128)
        while fgets(&line, Int32(line.count), maps) != nil {
            // `55d0-55e0 r-xp 00000000 fd:01 123   /usr/bin/lighterd`
            let entry = text(line)
            let words = entry.split(separator: " ")
            // Only what can be executed and not be written is surely as it is in the file.
            guard words.count > 5, words[1] == "r-xp", entry.hasSuffix("\(program)\n") else { continue }
            let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard ends.count == 2, ends[0] < ends[1], let start = UnsafeMutableRawPointer(bitPattern: ends[0]) else {
                continue
            }
            madvise(start, Int(ends[1] - ends[0]), Int32(MADV_DONTNEED))
        }
    }

    private static func text(_ bytes: [CChar]) -> String {
        String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
