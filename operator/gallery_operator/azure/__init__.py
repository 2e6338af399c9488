"""Gateway to Azure: Resource Manager and blob storage, credentials, error classification, throttling.

``errors``, ``error_table``, ``resource_ids``, ``credentials``, ``settings`` and ``throttle`` are cheap to import;
only ``gateway`` (through ``clients``) loads the Azure SDK, and the 90 MiB of ``azure.mgmt.compute`` are loaded when
the gateway is opened.
"""
