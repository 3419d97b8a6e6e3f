import DockerAPI
import Testing

@testable import lighter

@Suite("lighter images")
struct ImagesTests {
    @Test("Each node has a line under its image, with what is missing there")
    func table() throws {
        let rows = [
            ImageRow([
                "Id": .string("sha256:0123456789abcdef"), "Names": ["web:2", "web:latest"], "Size": 2_097_152,
                "Nodes": [
                    ["Node": "edge1", "Has": true, "Missing": 0], ["Node": "cloud1", "Has": false, "Missing": 1024],
                    ["Node": "cloud2", "Has": false, "Missing": .null],
                ],
            ]),
            ImageRow(["Id": "sha256:ffff", "Names": [], "Size": 0, "Nodes": [["Node": "edge1", "Has": true]]]),
        ]
        #expect(
            Images.table(rows) == """
                IMAGE               ID             SIZE    NODE     MISSING THERE
                web:2, web:latest   0123456789ab   2 MiB   edge1    nothing
                                                           cloud1   1 KiB
                                                           cloud2   not known
                <none>              ffff           0 B     edge1    nothing
                """)
    }
}
