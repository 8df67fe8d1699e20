"""Consent signals of other systems, decoded: IAB TCF and GPP strings, `us_privacy`, Google consent mode."""
