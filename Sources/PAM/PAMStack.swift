#if PAM
    import CPAM
    import Glibc
#endif

/// Passwords judged by the system's Pluggable Authentication Modules (libpam; package trait `PAM`).
public enum PAMStack {
    /// Whether this build has it.
    public static var isBuilt: Bool {
        #if PAM
            true
        #else
            false
        #endif
    }

    #if PAM

        /// Asks whether the password belongs to the user, and whether the account may be used now. Blocks for as long as the modules
        /// take.
        ///
        /// - Parameters:
        ///   - service: names the file in `/etc/pam.d`.
        ///   - remoteHost: where the client is, for modules that look at it (`PAM_RHOST`).
        /// - Returns: nil when all is well, else PAM's own words.
        public static func check(service: String, user: String, password: [UInt8], remoteHost: String) -> String? {
            var secret = password.map { CChar(bitPattern: $0) } + [0]
            defer { secret.withUnsafeMutableBytes { explicit_bzero($0.baseAddress!, $0.count) } }
            return secret.withUnsafeMutableBufferPointer { secret in
                var conversation = pam_conv(conv: answer, appdata_ptr: secret.baseAddress)
                var handle: OpaquePointer?
                var status = pam_start(service, user, &conversation, &handle)
                guard status == PAM_SUCCESS, let handle else { return "pam_start failed with status \(status)" }
                defer { pam_end(handle, status) }
                status = remoteHost.withCString { pam_set_item(handle, PAM_RHOST, $0) }
                if status == PAM_SUCCESS { status = pam_authenticate(handle, Int32(PAM_SILENT)) }
                if status == PAM_SUCCESS { status = pam_acct_mgmt(handle, Int32(PAM_SILENT)) }
                return status == PAM_SUCCESS ? nil : text(handle, status)
            }
        }

        private static func text(_ handle: OpaquePointer, _ status: Int32) -> String {
            pam_strerror(handle, status).map { String(cString: $0) } ?? "PAM error \(status)"
        }

        /// Answers what the modules ask: the password to a prompt without echo; other prompts can't be answered.
        private static let answer:
            @convention(c) (
                Int32, UnsafeMutablePointer<UnsafePointer<pam_message>?>?, UnsafeMutablePointer<UnsafeMutablePointer<pam_response>?>?,
                UnsafeMutableRawPointer?
            ) -> Int32 = { count, messages, responses, secret in
                guard count > 0, count <= PAM_MAX_NUM_MSG, let messages, let responses, let secret else { return PAM_CONV_ERR }
                // PAM frees the answers with free().
                guard let memory = calloc(Int(count), MemoryLayout<pam_response>.stride) else { return PAM_BUF_ERR }
                let answers = memory.assumingMemoryBound(to: pam_response.self)
                for index in 0..<Int(count) {
                    switch messages[index]?.pointee.msg_style {
                    case PAM_PROMPT_ECHO_OFF: answers[index].resp = strdup(secret.assumingMemoryBound(to: CChar.self))
                    case PAM_ERROR_MSG, PAM_TEXT_INFO: break
                    default:
                        for given in 0..<index { free(answers[given].resp) }
                        free(memory)
                        return PAM_CONV_ERR
                    }
                }
                responses.pointee = answers
                return PAM_SUCCESS
            }

    #else

        /// Not in this build: nobody is let in.
        public static func check(service: String, user: String, password: [UInt8], remoteHost: String) -> String? {
            "pam is not supported by this build"
        }

    #endif
}
