from tests.integration.worker.conftest import folders, pvc_config, server, stage
from tests.support.azure import azure, azure_stand

__all__ = ["azure", "azure_stand", "folders", "pvc_config", "server", "stage"]
