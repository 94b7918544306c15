"""Where mocktrial takes stamina from: without the warnings that it logs, which would mix with what a command prints."""

from __future__ import annotations

import stamina

stamina.instrumentation.set_on_retry_hooks(())
retry_context = stamina.retry_context
