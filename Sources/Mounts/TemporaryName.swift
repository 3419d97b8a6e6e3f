/// The names of files in the making: in the folder where they will be, hidden, and never mirrored.
///
/// They tell which process made them, so that what a killed one left can be removed while others work.
enum TemporaryName {
    private static let start = Array(".lighter-".utf8)
    private static let end = Array(".tmp".utf8)
    private static let process = hex(UInt64.random(in: .min ... .max))
    /// Whatever is older than this and of another process is left over.
    static let age: Int64 = 60_000_000_000

    static func random() -> [UInt8] { start + process + hex(UInt64.random(in: .min ... .max)) + end }

    static func isOne(_ name: some Collection<UInt8>) -> Bool {
        name.count == start.count + 32 + end.count && name.starts(with: start)
            && name.suffix(end.count).elementsEqual(end)
    }

    /// Whether a temporary file has been left by a process that is gone.
    static func isLeftOver(_ name: [UInt8], _ status: FileStatus) -> Bool {
        isOne(name) && !name.dropFirst(start.count).starts(with: process) && FileStatus.now - status.changed > age
    }

    private static func hex(_ number: UInt64) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        return (0..<16).map { digits[Int(number >> (60 - 4 * UInt64($0)) & 15)] }
    }
}
