import Foundation
import Testing

@testable import lighter

@Suite("The node's configuration file")
struct EnlistingTests {
    private func withFile(_ body: (Enlisting, String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        try Installation.makeFolder(folder)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let installation = Installation(state: folder)
        try body(Enlisting(installation: installation, gateway: "here:7700"), installation.configurationFile)
    }

    @Test("A new file says where the gateway is and where the node can be reached")
    func new() throws {
        try withFile { enlisting, path in
            try enlisting.configure(listen: "0.0.0.0:7701", advertise: nil)
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").filter {
                !$0.hasPrefix("#")
            }
            #expect(lines == ["gateway = here:7700", "listen = 0.0.0.0:7701", "advertise = 0.0.0.0:7701"])
        }
    }

    @Test("What the user wrote stays, the gateway is replaced, and writing it again changes nothing")
    func kept() throws {
        try withFile { enlisting, path in
            try "# mine\ntags = gpu\n\ngateway=elsewhere:1\n".write(toFile: path, atomically: true, encoding: .utf8)
            try enlisting.configure(listen: nil, advertise: nil)
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text == "# mine\ntags = gpu\ngateway = here:7700\n")
            try enlisting.configure(listen: nil, advertise: nil)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }
}
