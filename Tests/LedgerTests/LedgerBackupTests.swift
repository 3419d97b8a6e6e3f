import Fleet
import Foundation
import Ledger
import LighterTesting
import Testing

@Suite("A ledger as a file")
struct LedgerBackupTests {
    private func records(_ count: Int = 5) throws -> [LedgerRecord] {
        try (0..<count).map { .node(Node(id: try NodeID("edge\($0)"))) }
    }

    private func refusal(_ bytes: Data) -> LedgerError? {
        #expect(throws: LedgerError.self) { try LedgerBackup.decode(bytes, named: "b") }
    }

    @Test("What was written is read again, also nothing")
    func whole() throws {
        for records in [try records(), []] {
            #expect(try LedgerBackup.decode(LedgerBackup.encode(records), named: "b") == records)
        }
    }

    @Test("Wherever it is cut, it is refused")
    func cut() throws {
        let bytes = try LedgerBackup.encode(records())
        for length in 0..<bytes.count { #expect(refusal(bytes.prefix(length))?.code == .corrupt) }
        let lines = bytes.split(separator: UInt8(ascii: "\n"))
        let fewer = Data(lines.dropLast(2).joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")]
        #expect(refusal(fewer)?.message.hasPrefix("the backup b is not whole: its last line") == true)
        #expect(refusal(Data())?.message.contains("it is empty") == true)
    }

    @Test("Lines that are left out, changed, or of two files are refused")
    func changed() throws {
        let text = String(decoding: try LedgerBackup.encode(records()), as: UTF8.self)
        let lines = text.split(separator: "\n").map { $0 + "\n" }
        let without = lines[..<2].joined() + lines[3...].joined()
        #expect(refusal(Data(without.utf8))?.message.contains("5 records, and has 4") == true)
        let other = text.replacingOccurrences(of: "edge1", with: "edge7")
        #expect(refusal(Data(other.utf8))?.message.contains("not those that were written") == true)
        #expect(refusal(Data((text + text).utf8))?.message.contains("is not whole") == true)
        let older = lines[1..<6].joined()
        #expect(refusal(Data(older.utf8))?.message.contains("does not begin as a backup") == true)
        let newer = text.replacingOccurrences(of: "\"lighterLedger\":1", with: "\"lighterLedger\":2")
        #expect(refusal(Data(newer.utf8))?.code == .newerSchema)
    }

    @Test("A record that is there twice is refused, with its line")
    func twice() throws {
        let bytes = try LedgerBackup.encode(records() + records(1))
        #expect(refusal(bytes)?.message == "line 7 of b has the node edge0 again")
    }

    @Test("Files are for their owner only, and one that cannot be read is said so on one line")
    func files() throws {
        let folder = try ScratchFolder()
        let file = folder.file("backup")
        try LedgerBackup.write(records(), to: file)
        #expect(try LedgerBackup.read(file) == records())
        let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? NSNumber
        #expect(mode?.intValue == 0o600)
        for (path, words) in [(folder.file("none"), "there is no file"), (folder.file(""), "is a folder")] {
            let error = #expect(throws: LedgerError.self) { try LedgerBackup.read(path) }
            #expect(error?.description.contains(words) == true)
            #expect(error?.description.contains("Error") == false)
        }
        #expect(throws: LedgerError.self) { try LedgerBackup.write(records(), to: folder.file("none/backup")) }
    }
}
