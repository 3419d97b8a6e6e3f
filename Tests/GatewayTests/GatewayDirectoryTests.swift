import Authority
import Foundation
import Gateway
import LighterTesting
import Testing

@Suite("A gateway's directory")
struct GatewayDirectoryTests {
    @Test("None is made for a fleet whose name is refused")
    func name() throws {
        let folder = try ScratchFolder()
        let path = folder.file("data")
        #expect(throws: AuthorityError.self) { try GatewayDirectory(path, founding: "a b") }
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(try GatewayDirectory(path, founding: "home").authority(fleet: "home").fleet == "home")
    }
}
