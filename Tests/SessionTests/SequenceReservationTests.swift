import Fleet
import FoundationEssentials
import Testing

@testable import Session

struct SequenceReservationTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/lighter-sequence-\(WorkloadID.random())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    @Test("Numbers grow across restarts, and past the end of a block")
    func restarts() throws {
        try withFolder { folder in
            var last: UInt64 = 0
            for count in [3, Int(SequenceReservation.block) + 10, 3] {
                var reservation = try SequenceReservation(directory: folder)
                for _ in 0..<count {
                    let next = reservation.take()
                    #expect(next > last)
                    last = next
                }
            }
        }
    }

    @Test(
        "A file that was damaged or lost does not make numbers go back",
        arguments: [
            nil, "", "x\n", "12", "-5\n", "99999999999999999999999999\n", "18446744073709551615\n", "5 5\n",
        ])
    func corrupt(content: String?) throws {
        try withFolder { folder in
            var first = try SequenceReservation(directory: folder)
            let before = (0..<100).map { _ in first.take() }.max() ?? 0
            let path = folder + "/sequence"
            if let content {
                try Data(content.utf8).write(to: URL(filePath: path))
            } else {
                try FileManager.default.removeItem(atPath: path)
            }
            var second = try SequenceReservation(directory: folder)
            #expect(second.take() > before)
        }
    }

    @Test("A folder that cannot be written is refused with its name")
    func unwritable() {
        let error = #expect(throws: SessionError.self) {
            _ = try SequenceReservation(directory: "/proc/no-such-folder")
        }
        #expect(error?.code == .invalid)
        #expect(error?.message.contains("/proc/no-such-folder/sequence") == true)
    }
}
