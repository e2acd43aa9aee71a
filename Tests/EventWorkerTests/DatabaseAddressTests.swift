import EventWorker
import Testing

@Suite struct DatabaseAddressTests {
    /// Whatever is wrong with it, and wherever libpq cuts it.
    @Test(arguments: [
        "postgresql://shop:s3cret@host:x/db", "postgres://shop:s3/s3cret@host/db",
        "postgres://shop:@s3cret@host/db", "postgres://shop:s3cret@[host/db",
        "host=h password=s3cret dbname", "password='s3cret host=h",
    ])
    func anAddressThatCannotBeReadIsNotRepeated(address: String) throws {
        let error = try #require(throws: WorkerError.self) {
            try Database(address, schema: "shop")
        }
        #expect(error.kind == .unexpected)
        #expect(!error.message.contains("s3cret"))
    }
}
