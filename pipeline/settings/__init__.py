"""Every setting, one frozen dataclass per room; where each value came from is known."""

from pipeline.settings.model import CdcSettings as CdcSettings
from pipeline.settings.model import DeliverySettings as DeliverySettings
from pipeline.settings.model import KafkaSettings as KafkaSettings
from pipeline.settings.model import LogSettings as LogSettings
from pipeline.settings.model import OmeroSettings as OmeroSettings
from pipeline.settings.model import RelaySettings as RelaySettings
from pipeline.settings.model import Settings as Settings
from pipeline.settings.model import StackSettings as StackSettings
from pipeline.settings.model import StateSettings as StateSettings
