import Channels
import Core
import Diagnostics
import Engine
import Net

extension Daemon {
    /// What strangers can reach asks for TLS.
    func checkAddresses() throws(Failure) {
        let places = try self.options.listen + self.passedPlaces()
        for text in places {
            let address = try ListenAddress(parsing: text)
            if address.isTLS, self.options.tls.files == nil {
                throw Failure(
                    .invalidArgument,
                    "\(text) asks for --tls-certificate and --tls-key")
            }
            if address.isLocal || address.isTLS || self.options.insecure { continue }
            throw Failure(
                .invalidArgument,
                "\(text) is reachable from elsewhere, without TLS; listen on tls:\(text), on 127.0.0.1 "
                    + "or on a unix socket, or add --insecure on a network that you trust")
        }
        guard self.options.tls.files != nil else { return }
        guard places.contains(where: { $0.hasPrefix("tls:") }) else {
            throw Failure(
                .invalidArgument,
                "--tls-certificate is given and nobody would use it; add --listen tls:HOST:PORT")
        }
    }

    /// Whoever has a certificate, or TLS asks for none, could do everything: not for other machines.
    private func checkPrincipals(_ engine: Engine) throws(Failure) {
        guard !self.options.insecure, !engine.assumeIsolated({ $0.principals.isClosed }) else {
            return
        }
        for text in try self.options.listen + self.passedPlaces()
        where try !ListenAddress(parsing: text).isLocal {
            throw Failure(
                .invalidArgument,
                "\(text) is reachable from elsewhere, and there are no principals: everybody could do everything; "
                    + "start on 127.0.0.1 or a unix socket, run 'dormouse principals add NAME administer --everywhere', and start "
                    + "again, or add --insecure on a network that you trust")
        }
    }

    func listen(for engine: Engine) throws(Failure) {
        guard !self.isStopping else { return engine.assumeIsolated { $0.drain() } }
        try self.checkPrincipals(engine)
        let handler = EngineListenerHandler(engine)
        for socket in self.supervision.sockets {
            self.add(
                try Listener(
                    on: self.loop, passed: socket, logger: self.logger,
                    tls: socket.isTLS ? self.tls : nil, handler: handler))
        }
        // What was passed stands for the usual address; what was asked for comes in addition.
        let asked = self.options.listen + self.options.unix.map { "unix:\($0)" }
        let usual = self.listeners.isEmpty ? [Options.usualAddress] : []
        for text in asked.isEmpty ? usual : asked {
            let address = try ListenAddress(parsing: text)
            self.add(
                try Listener(
                    on: self.loop, at: address, logger: self.logger,
                    tls: address.isTLS ? self.tls : nil, handler: handler))
        }
        if let first = self.listeners.first(where: { $0.port != 0 }) {
            let scheme = first.address.hasPrefix("tls:") ? "dormouses" : "dormouse"
            self.say(
                "try:  dormouse --server \(scheme)://127.0.0.1:\(first.port) publish hello.world 'good morning'"
            )
        }
        self.isReady()
    }

    private func add(_ listener: Listener) {
        self.listeners.append(listener)
        self.say("listening on \(listener.address)")
    }

    /// Of the sockets that were passed, as `--listen` would have them.
    private func passedPlaces() throws(Failure) -> [String] {
        var places: [String] = []
        for socket in self.supervision.sockets {
            places.append((socket.isTLS ? "tls:" : "") + (try socket.address()))
        }
        return places
    }

    // MARK: TLS

    func loadTLS() async throws(Failure) {
        guard let files = self.options.tls.files else { return }
        let context = try await Self.read(files)
        self.tls = TLSSource(context)
        self.certificateCheck = Alarm(on: self.loop) {
            self.assumeIsolated { $0.checkCertificate() }
        }
        self.checkCertificate()
    }

    /// At the start, when the files are read again, and once a day.
    private func checkCertificate() {
        guard let files = self.options.tls.files, let context = self.tls?.context else { return }
        self.warn(of: context, files)
        self.certificateCheck?.set(
            at: self.loop.now().advanced(
                byMilliseconds: self.options.limits.certificateMilliseconds))
    }

    /// SIGHUP: new connections get what is in the files now. A bad file changes nothing.
    func keepReloading() async {
        while await self.reloadRequested.wait() {
            self.reloads()
            await self.reloadTLS()
            self.isReloaded()
        }
    }

    private func reloadTLS() async {
        guard let files = self.options.tls.files, let tls = self.tls else {
            return self.logger.info("SIGHUP: there is nothing to read again without TLS")
        }
        do throws(Failure) {
            let context = try await Self.read(files)
            tls.context = context
            self.logger.info(
                "read the TLS files again; new connections use them", [.file: files.certificate])
            self.checkCertificate()
        } catch {
            self.logger.error(
                "the TLS files were not read again; what was read before stays in use",
                [.error: error.description])
        }
    }

    /// Away from the loop: a disk may be slow.
    @concurrent
    private static func read(_ files: TLSFiles) async throws(Failure) -> TLSContext {
        try TLSContext(files)
    }

    private func warn(of context: TLSContext, _ files: TLSFiles) {
        if let validity = context.validity {
            self.warn(
                of: validity, files.certificate, what: "our TLS certificate",
                otherwise: "clients will refuse it")
        }
        if let validity = context.revokedValidity, let path = files.revoked {
            self.warn(
                of: validity, path, what: "the list of revoked certificates",
                otherwise: "clients with certificates are refused")
        }
        if context.isKeyExposed {
            self.logger.warning(
                "the TLS key can be read by every user of this machine; take that right away",
                [.file: files.key])
        }
    }

    private func warn(
        of validity: TLSContext.Validity, _ path: String, what: String, otherwise: String
    ) {
        let now = self.loop.wallTime()
        switch validity.state(at: now) {
        case .good:
            break
        case .early:
            self.logger.warning(
                "\(what) is not valid yet: \(otherwise); look at the clock of this machine",
                [.file: path])
        case .ending:
            let hours = (validity.end.rawValue - now.rawValue) / 3_600_000_000
            self.logger.warning(
                "\(what) ends soon: replace its file, then SIGHUP",
                [.file: path, .hours: "\(hours)"])
        case .ended:
            self.logger.warning("\(what) has expired: \(otherwise)", [.file: path])
        }
    }
}
