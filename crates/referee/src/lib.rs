//! GitHub's OpenAPI documents and payloads as judges. Test only.
