// Loads what every page may use: one custom element per module.
import "./theme-toggle.js";
import "./relative-time.js";
import "./copy-button.js";
import "./confirm-form.js";
import "./reveal-password.js";
import "./run-live.js";
import "./search-key.js";
import "./hash-token.js";
import "./open-dialog.js";
import "./schema-search.js";
